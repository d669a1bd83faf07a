"""A learning curve continued: the power law POW4, E + A (t + t0)^-a.

Cost class: free; needs no torch. Chosen since POW4 extrapolates best on thousands of learning
curves (LCDB 1.1, Viering and Loog); its interval is wide with few points and says so.

The interval is a bootstrap of residuals: what the points lie off the law is drawn anew, added to
it, and the law fitted again (Efron and Tibshirani 1993, "An Introduction to the Bootstrap", section
9.4). Neighbours on a curve err alike, so they are drawn in blocks, and these across the end on to
the beginning, so that every point is drawn as often (Kuensch 1989, Ann. Stat. 17:1217; Politis and
Romano 1992, "A circular block-resampling procedure for stationary data").
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EXPONENTS = np.geomspace(0.05, 2.0, 40)
"""Searched values of a: loss exponents of language models lie between 0.05 and 1."""
OFFSETS = (0.0, 0.03, 0.1, 0.3, 1.0)
"""Searched t0, as shares of the last t; with fewer than `ENOUGH` points t0 = 0, since they would
fit any."""
MIN_POINTS = 5
PARAMETERS = 4
"""Of a law."""
DRAWS = 1000
"""Of the bootstrap: the ends of a 95 % interval are then known to some 5 % of its width."""
LEVEL = 0.95
MAX_BINS, MIN_BINS = 40, 10
"""Points that single losses are gathered into for `heading`, and under which it is silent: four
numbers are fitted to them, and three blocks are the least to draw from."""
MIN_VALUES_PER_BIN = 4
"""Losses in a point: single batches are too unlike each other for a law to be seen in them."""
IGNORED_EARLY_FRACTION = 0.2
"""Fraction of the last time before which a curve is left out: it has not yet come to its law.
Origin: of 0.1, 0.2 and 0.3 the best that leaves most runs of
benchmarks/results/forecast/curves.jsonl."""


@dataclass(frozen=True)
class PowerLaw:
    """E + A (t + t0)^-a, in nats, with A >= 0."""

    asymptote: float
    scale: float
    offset: float
    exponent: float

    def predict(self, t: float) -> float:
        """Return the loss after `t` (steps or tokens, as fitted)."""
        return float(_at(astuple(self), t))


@dataclass(frozen=True)
class InterpolatedCurve:
    """A curve through points that were measured: `law`, and between and beyond them what they
    lie off it (`off`, nats), at `times`, growing."""

    times: tuple[float, ...]
    off: tuple[float, ...]
    law: PowerLaw

    def at(self, t: float) -> float:
        """Return the loss after `t`."""
        return self.law.predict(t) + float(np.interp(math.log(t), np.log(self.times), self.off))


def interpolate_curve(points: Mapping[float, float]) -> InterpolatedCurve:
    """Return the curve through `points`, losses by time, three at least; a `fit` says how it goes
    on."""
    times = tuple(sorted(points))
    law = fit_power_law(times, [points[t] for t in times])
    return InterpolatedCurve(times, tuple(points[t] - law.predict(t) for t in times), law)


def fit_power_law(times: Sequence[float], losses: Sequence[float]) -> PowerLaw:
    """Return least squares over E and A for every exponent and offset of the grid; needs 3
    points."""
    t, y = np.asarray(times, dtype=float), np.asarray(losses, dtype=float)
    if len(t) < 3:
        raise ValueError(f"{len(t)} points: expected at least 3")
    return PowerLaw(*(float(one) for one in _fitted(t, y[None])[:, 0]))


class CurveExtrapolation(msgspec.Struct, frozen=True):
    """Where a curve is going by its own law, in nats; each with its 95 % interval.

    The intervals are of the law, not of the loss of one batch, and know only what the points lie
    off it: not whether the curve goes on by a power law at all.
    """

    step: float
    """The time ahead."""
    loss: float
    ci95: tuple[float, float]
    asymptote: float
    """The loss that it comes to at last; 0 at least, since no loss is lower."""
    floor_ci95: tuple[float, float]


def extrapolate_curve(times: Floats, losses: Floats, seed: int = 0) -> CurveExtrapolation | None:
    """Return where the losses of single steps at one rate are going: to what after twice the last
    of `times` (growing), and to what at last. None of too short a curve.

    What came before `IGNORED_EARLY_FRACTION` is left out, the rest gathered into at most `MAX_BINS`
    means.
    """
    late = times >= IGNORED_EARLY_FRACTION * times[-1:]
    points = min(MAX_BINS, int(late.sum()) // MIN_VALUES_PER_BIN)
    if points < MIN_BINS:
        return None
    t, y = (np.array([part.mean() for part in np.array_split(side[late], points)])
            for side in (times, losses))  # fmt: skip
    law, at = fit_power_law(t.tolist(), y.tolist()), 2.0 * float(times[-1])
    laws = bootstrap_power_law(t, y, law, seed=seed)
    floors = np.maximum(laws[0], 0.0)
    return CurveExtrapolation(
        at, law.predict(at), _interval(_at(laws, at)), max(law.asymptote, 0.0), _interval(floors)
    )


def bootstrap_power_law(times: Floats, losses: Floats, law: PowerLaw, *, seed: int = 0) -> Floats:
    """Return `DRAWS` laws (4, DRAWS) that the points might as well have had: the floor, scale,
    offset and exponent of each. `law` is their `fit`; the same `seed`, the same draws.

    A block is n^(1/3) points long, rounded up (the order that Hall, Horowitz and Jing 1995,
    Biometrika 82:561, derive for a variance). Residuals are made larger by sqrt(n / (n - 4)), since
    a fit of four numbers leaves them that much too small.
    """
    n = len(times)
    fitted = _at(astuple(law), times)
    off = losses - fitted
    off = (off - off.mean()) * math.sqrt(n / max(n - PARAMETERS, 1))
    length = math.ceil(n ** (1 / 3))
    pick = np.random.default_rng(seed)
    starts = pick.integers(n, size=(DRAWS, math.ceil(n / length)))
    which = (starts[:, :, None] + np.arange(length)).reshape(DRAWS, -1)[:, :n] % n
    return _fitted(times, fitted + off[which])


def _at(law: Floats | tuple[float, ...], t: Floats | float) -> Any:
    """Return the loss of one law at one time or many, or of many laws at one."""
    floor, scale, offset, exponent = law
    return floor + scale * (t + offset) ** -exponent


def _interval(values: Floats) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
    return low, high


def _fitted(t: Floats, y: Floats) -> Floats:
    """Floor, scale, offset and exponent (4, rows) of the law nearest to each row of `y` (rows, n):
    all rows at once, since a bootstrap has a thousand."""
    best = np.zeros((4, len(y)))
    min_error = np.full(len(y), np.inf)
    means = y.mean(axis=1, keepdims=True)
    centred = y - means
    for fraction in OFFSETS if len(t) >= MIN_POINTS else (0.0,):
        offset = fraction * float(t.max())
        for exponent in EXPONENTS.tolist():
            x = (t + offset) ** -exponent
            scale = _slopes(x, centred)
            floor = means[:, 0] - scale * x.mean()
            error = ((floor[:, None] + scale[:, None] * x - y) ** 2).sum(axis=1)
            better = error < min_error
            min_error = np.where(better, error, min_error)
            for index, value in enumerate((floor, scale, offset, exponent)):
                best[index] = np.where(better, value, best[index])
    return best


def _slopes(x: Floats, centred: Floats) -> Floats:
    """Slope, 0 at least, of the least-squares line of each row (rows, n), its mean taken off."""
    off = x - x.mean()
    spread = float((off**2).sum())
    slopes = (off * centred).sum(axis=1) / spread if spread > 0 else np.zeros(len(centred))
    nonnegative_slopes: Floats = np.maximum(slopes, 0.0)
    return nonnegative_slopes
