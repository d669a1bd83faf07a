"""A learning curve continued: the power law POW4, E + A (t + t0)^-a.

Cost class: free; needs no torch. Chosen since POW4 extrapolates best on thousands of learning
curves (LCDB 1.1, Viering and Loog); its interval is wide with few points and says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

EXPONENTS = np.geomspace(0.05, 2.0, 40)
"""Searched values of a: loss exponents of language models lie between 0.05 and 1."""
OFFSETS = (0.0, 0.03, 0.1, 0.3, 1.0)
"""Searched t0, as shares of the last t; with fewer than `ENOUGH` points t0 = 0, since they would
fit any."""
ENOUGH = 5


@dataclass(frozen=True)
class PowerLaw:
    """E + A (t + t0)^-a, in nats, with A >= 0."""

    floor: float
    scale: float
    offset: float
    exponent: float

    def at(self, t: float) -> float:
        """Loss after `t` (steps or tokens, as fitted)."""
        return float(self.floor + self.scale * (t + self.offset) ** -self.exponent)


@dataclass(frozen=True)
class Measured:
    """A curve through points that were measured: `law`, and between and beyond them what they
    lie off it (`off`, nats), at `times`, growing."""

    times: tuple[float, ...]
    off: tuple[float, ...]
    law: PowerLaw

    def at(self, t: float) -> float:
        """Loss after `t`."""
        return self.law.at(t) + float(np.interp(math.log(t), np.log(self.times), self.off))


def through(points: Mapping[float, float]) -> Measured:
    """The curve through `points`, losses by time, three at least; a `fit` says how it goes on."""
    times = tuple(sorted(points))
    law = fit(times, [points[t] for t in times])
    return Measured(times, tuple(points[t] - law.at(t) for t in times), law)


def fit(times: Sequence[float], losses: Sequence[float]) -> PowerLaw:
    """Least squares over E and A for every exponent and offset of the grid; needs 3 points."""
    t, y = np.asarray(times, dtype=float), np.asarray(losses, dtype=float)
    if len(t) < 3:
        raise ValueError(f"{len(t)} points: expected at least 3")
    best: tuple[float, PowerLaw] | None = None
    for share in OFFSETS if len(t) >= ENOUGH else (0.0,):
        offset = share * float(t.max())
        for exponent in EXPONENTS.tolist():
            x = (t + offset) ** -exponent
            scale, floor = _line(x, y)
            error = float(((floor + scale * x - y) ** 2).sum())
            if best is None or error < best[0]:
                best = (error, PowerLaw(floor, scale, offset, exponent))
    assert best is not None
    return best[1]


def _line(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """Slope >= 0 and intercept of the least-squares line."""
    spread = float(((x - x.mean()) ** 2).sum())
    slope = float(((x - x.mean()) * (y - y.mean())).sum() / spread) if spread > 0 else 0.0
    slope = max(slope, 0.0)
    return slope, float(y.mean() - slope * x.mean())
