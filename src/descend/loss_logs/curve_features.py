"""What the shape of a loss curve says, without the run behind it.

Numbers only; `loss_logs/diagnose_log.py` judges. Needs no torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from descend.loss_logs.log import LogEntry, LossLog
from descend.metrics.extrapolation import mask_at_peak_lr
from descend.metrics.periodicity import period, running_mean
from descend.metrics.power_law import CurveExtrapolation, extrapolate_curve

Floats = NDArray[np.float64]

EDGE = 0.05
"""Fraction of the entries averaged at the start and at the end: single batches jump."""
LATE = 0.5
"""From here on, the slope says whether the loss still falls: this part is one doubling."""
MIN_FOR_SLOPE = 4
DECAYED = 0.5
"""Fraction of the peak rate under which the rate counts as decayed at the end."""
MIN_TRAINING_POINTS = 3
"""Training losses from which they are the curve read, however many validation losses there are."""
MIN_SPIKE = 0.02
"""Fraction of the loss that a spike rises by at least: a very smooth curve has next to no noise."""
SAME_LEVEL = 0.01
"""Fraction of the loss within which a smoothed curve counts as flat."""


class CurveFeatures(msgspec.Struct, frozen=True, kw_only=True):
    """A curve in numbers. Losses in nats per token as logged; None: the log does not tell."""

    unit: str
    """What places count: steps, epochs, or entries of the log."""
    length: float
    """The last place."""
    first_position: float
    """Of the first loss."""
    interval: float
    """Median distance between losses, in places; 0 where there is one."""
    entries: int
    training_points: int
    validation_points: int
    points: int
    """Losses of the curve read."""
    finite_points: int
    """Losses of the curve read that are numbers: all that is said of it rests on these."""
    first: float
    """Of the curve read (training where logged, else validation): its first loss."""
    start: float
    """Mean over the first twentieth."""
    end: float
    """Mean over the last twentieth."""
    last: float
    """The last loss that is a number."""
    lowest: float
    """The lowest smoothed loss (running mean over a twentieth)."""
    lowest_at: float
    """Its place."""
    slope_per_doubling: float
    """Nats by which the loss falls while the run doubles, from its second half; negative: rises."""
    slope_std_error: float
    """Standard error of that slope."""
    gain_of_doubling: float
    """Nats by which the loss would fall while the run doubles again: the slope, lessened by the
    bend of the second half where that is beyond chance."""
    rate_decayed: bool
    """Whether the logged rate ends below half its peak: the fall then owes much to the decay."""
    steady_slope: float | None
    """Where it decayed: the slope over the second half of the part at the peak rate, if that part
    is long enough."""
    steady_gain: float | None
    """The same for the gain of a doubling."""
    extrapolation: CurveExtrapolation | None
    """Where the loss was going at the peak rate; None where no rate is logged or too little of the
    run was at its peak."""
    flat_since: float | None
    """Place from which on the smoothed loss stays within one percent, or two standard errors of it,
    of where it ends."""
    recurs_every: float | None
    """Distance in places at which the same rise and fall comes again; None where none does."""
    finite_at_end: bool
    """Whether the last losses are numbers."""
    noise_of_mean: float
    """Standard error of the smoothed loss, from `noise` (nats)."""
    noise: float
    """Standard deviation of the loss around its course in the second half (nats)."""
    spikes: int
    """Entries above the running mean by more than six times the noise, after the first tenth."""
    highest_rise: float
    """Largest rise of the smoothed loss above its lowest value so far (nats)."""
    first_nonfinite: float | None
    """Place of the first loss that is not a finite number."""
    validation_best: float | None
    validation_best_at: float | None
    validation_end: float | None
    validation_last_at: float
    """Place of the last validation loss; 0 where there is none."""
    gap: float | None
    """Validation minus training at the place of the last validation loss; None if training was
    not logged up to there, or if they are in different units."""
    training_after_best: float | None
    """Fall of the training loss after validation was at its best (nats)."""
    rate_highest: float | None
    gradient_norm_not_finite: bool
    has_other_validation_unit: bool = False
    """Whether validation is in another unit than training, such as bits for a byte, or sums."""


def extract_curve_features(log: LossLog) -> CurveFeatures | None:
    """Return the curve of `log` in numbers; None if no finite loss is in it."""
    training = _series(log.entries, "train_loss")
    validation = _series(log.entries, "validation_loss")
    enough = len(training[0]) >= min(MIN_TRAINING_POINTS, len(validation[0]))
    positions, losses = training if enough else validation
    finite = np.isfinite(losses)
    if not finite.any():
        return None
    first_bad = float(positions[~finite][0]) if not finite.all() else None
    x, y = positions[finite], losses[finite]
    width = edge = averaged(len(y))
    smooth = running_mean(y, width)
    slope, error = slope_per_doubling(x, y)
    noise = noise_around(y, smooth, width)
    v = _validation(validation, training)
    if log.has_other_validation_unit:
        v["gap"] = None
    rates = [e.learning_rate for e in log.entries if e.learning_rate is not None]
    norms = [e.gradient_norm for e in log.entries if e.gradient_norm is not None]
    return CurveFeatures(
        unit=log.unit,
        length=float(x[-1]),
        first_position=float(x[0]),
        interval=float(np.median(np.diff(x))) if len(x) > 1 else 0.0,
        entries=len(log.entries),
        training_points=len(training[0]),
        validation_points=len(validation[0]),
        points=len(losses),
        finite_points=len(y),
        validation_last_at=float(validation[0][-1]) if len(validation[0]) else 0.0,
        first=float(y[0]),
        start=float(y[:edge].mean()),
        end=float(y[-edge:].mean()),
        last=float(y[-1]),
        lowest=float(smooth.min()),
        lowest_at=float(x[smooth.argmin()]),
        slope_per_doubling=slope,
        slope_std_error=error,
        gain_of_doubling=gain_of_doubling(x, y),
        noise=noise,
        spikes=_spikes(y, smooth, noise, width),
        noise_of_mean=noise / math.sqrt(width),
        flat_since=_flat_since(x, smooth, noise / math.sqrt(width)),
        recurs_every=period(x, y),
        finite_at_end=bool(finite[-MIN_TRAINING_POINTS:].all()),
        rate_decayed=bool(rates) and rates[-1] < DECAYED * max(rates),
        steady_slope=_steady_slope(log.entries, x, y),
        steady_gain=_steady_gain(log.entries, x, y),
        extrapolation=_extrapolate_at_peak_lr(log.entries, x, y),
        highest_rise=float((smooth - np.minimum.accumulate(smooth)).max()),
        first_nonfinite=first_bad,
        rate_highest=max(rates, default=None) or None,
        has_other_validation_unit=log.has_other_validation_unit,
        gradient_norm_not_finite=any(not math.isfinite(n) for n in norms),
        **v,
    )


def noise_around(losses: Floats, smooth: Floats, width: int) -> float:
    """Return the standard deviation of the loss around its course, from the second half.

    Too few losses to smooth are their own running mean. Then it is how far each lies from the
    middle of its neighbors: by chance alone the square root of 1.5 times as far.
    """
    late = len(losses) // 2
    if width > 1:  # a mean follows each of its losses a little
        return float(np.std(losses[late:] - smooth[late:])) * math.sqrt(width / (width - 1))
    off = losses[1:-1] - (losses[:-2] + losses[2:]) / 2
    if len(off) >= 2 * MIN_FOR_SLOPE:
        off = off[len(off) // 2 :]
    return float(np.sqrt((off**2).mean() / 1.5)) if len(off) else 0.0


def _flat_since(places: Floats, smooth: Floats, error: float) -> float:
    """Return the place from which on the smoothed loss stays where it ends."""
    away = np.abs(smooth - smooth[-1]) > max(SAME_LEVEL * abs(float(smooth[-1])), 2 * error)
    return float(places[np.flatnonzero(away)[-1] + 1]) if away.any() else float(places[0])


def averaged(losses: int) -> int:
    """Return how many of so many losses are averaged at the start and at the end, and smoothed
    over."""
    return max(1, round(EDGE * losses))


def slope_per_doubling(positions: Floats, losses: Floats) -> tuple[float, float]:
    """Fall in nats per doubling of the run, by least squares of the loss on log2 of the place over
    the second half, and its standard error; (0, inf) with too few points there."""
    late = positions >= LATE * positions[-1]
    x, y = positions[late], losses[late]
    if len(x) < MIN_FOR_SLOPE or x[0] <= 0 or x[0] == x[-1]:
        return 0.0, math.inf
    octaves = np.log2(x)
    centred = octaves - octaves.mean()
    slope = float((centred * y).sum() / (centred**2).sum())
    residuals = y - y.mean() - slope * centred
    error = math.sqrt(float((residuals**2).sum()) / (len(x) - 2) / float((centred**2).sum()))
    return -slope, error


def gain_of_doubling(positions: Floats, losses: Floats) -> float:
    """Return nats by which the loss would fall if the run went on to twice its length.

    A parabola over log2 of the place gives the falls of both halves of the last doubling. Their
    ratio goes on: exact for a power law, and more than remains for an exponential fall. Without
    a bend beyond two standard errors it is the slope per doubling.
    """
    slope, error = slope_per_doubling(positions, losses)
    late = positions >= LATE * positions[-1]
    if not math.isfinite(error) or late.sum() <= MIN_FOR_SLOPE:
        return slope
    x, y = np.log2(positions[late] / positions[-1]), losses[late]
    design = np.vander(x, 3)
    inverse = np.linalg.pinv(design.T @ design)
    coefficients = inverse @ design.T @ y
    residuals = y - design @ coefficients
    bend_error = math.sqrt(float((residuals**2).sum()) / (len(x) - 3) * float(inverse[0, 0]))
    if coefficients[0] < 2 * bend_error:
        return slope
    begin, middle, end = np.polyval(coefficients, [-1.0, -0.5, 0.0])
    before, after = float(begin - middle), float(middle - end)
    if after <= 0:
        return 0.0
    ratio = min(1.0, after / before)
    return after * ratio * (1 + ratio)


def _steady_gain(entries: Sequence[LogEntry], positions: Floats, losses: Floats) -> float | None:
    """Return the gain of a doubling from the part at the peak rate; None where no rate is
    logged."""
    here = mask_at_peak_lr(
        [(e.position, e.learning_rate) for e in entries if e.learning_rate is not None], positions
    )
    return None if here is None else gain_of_doubling(positions[here], losses[here])


def _steady_slope(entries: Sequence[LogEntry], positions: Floats, losses: Floats) -> float | None:
    """Return the slope per doubling while the rate stood at its peak; None if that was too
    short."""
    here = mask_at_peak_lr(
        [(e.position, e.learning_rate) for e in entries if e.learning_rate is not None], positions
    )
    if here is None:
        return None
    slope, error = slope_per_doubling(positions[here], losses[here])
    return slope if slope > 2 * error else 0.0 if math.isfinite(error) else None


def _extrapolate_at_peak_lr(
    entries: Sequence[LogEntry], positions: Floats, losses: Floats
) -> CurveExtrapolation | None:
    here = mask_at_peak_lr(
        [(e.position, e.learning_rate) for e in entries if e.learning_rate is not None], positions
    )
    return None if here is None else extrapolate_curve(positions[here], losses[here])


def finite_training(entries: Sequence[LogEntry]) -> tuple[Floats, Floats]:
    """Return places and training losses that are numbers."""
    places, losses = _series(entries, "train_loss")
    finite = np.isfinite(losses)
    return places[finite], losses[finite]


def _series(entries: Sequence[LogEntry], name: str) -> tuple[Floats, Floats]:
    """Places and losses of one side, in order of place."""
    pairs = [(e.position, loss) for e in entries if (loss := getattr(e, name)) is not None]
    pairs.sort(key=lambda pair: pair[0])
    both = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def _spikes(losses: Floats, smooth: Floats, noise: float, width: int) -> int:
    """Return how many losses lie above the running mean and have risen there: on a steep fall the
    mean of what follows is far below any loss."""
    min_height = np.maximum(6 * max(noise, 1e-9), MIN_SPIKE * np.abs(smooth))
    before = np.concatenate((np.full(width, losses[0]), losses[:-1]))
    lowest_before = np.lib.stride_tricks.sliding_window_view(before, width).min(axis=1)
    is_spike = (losses - smooth > min_height) & (losses - lowest_before > min_height)
    return int(is_spike[len(losses) // 10 :].sum())


def _gap_at(place: float, validation: float, x: Floats, smooth: Floats) -> float | None:
    """Return the validation minus training at one place; None where training was not logged there.

    Training may have gone on, and diverged, after the last validation loss.
    """
    step = float(np.diff(x).max()) if len(x) > 1 else 0.0
    if not x[0] - step <= place <= x[-1] + step:
        return None
    return validation - float(np.interp(place, x, smooth))


def _validation(
    validation: tuple[Floats, Floats], training: tuple[Floats, Floats]
) -> dict[str, float | None]:
    """Return what validation and training say of each other."""
    names = (
        "validation_best",
        "validation_best_at",
        "validation_end",
        "gap",
        "training_after_best",
    )
    positions, losses = (side[np.isfinite(validation[1])] for side in validation)
    if not len(losses):
        return dict.fromkeys(names)
    best = int(losses.argmin())
    end = float(losses[-1])
    gap = after = None
    x, y = (side[np.isfinite(training[1])] for side in training)
    if len(y):
        smooth = running_mean(y, averaged(len(y)))
        gap = _gap_at(float(positions[-1]), end, x, smooth)
        then = int(np.searchsorted(x, positions[best]))
        after = float(smooth[min(then, len(y) - 1)] - smooth[-1])
    values = (float(losses[best]), float(positions[best]), end, gap, after)
    return dict(zip(names, values, strict=True))
