"""Loss against fractions of the text, measured: what more text would bring.

The run is repeated at a tenth of its scale. Its steps, divided by `SCALE`, are made on a tenth of
the text, on three tenths, and on all of it. The first trial reads its text as often as the run
read its own. The last one has ten times as much text for the same steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist

import msgspec

from descend.config import RunConfig
from descend.trials.cached_trial import run_trial
from descend.trials.paired_stats import paired_interval
from descend.trials.trial_spec import TrialResult, TrialSpec, make_trial_spec

SCALE = 10
"""Ten times the text is requested, so a tenth of it is measured."""

FRACTIONS = (1.0, 0.1, 0.3)
"""Of the training text, in the order of the trials: the ends first."""

SEED_DEVIATION = 0.005
"""Fraction of the bits per byte by which two seeds of a small run differ (docs/recipe.md)."""

MIN_TRIAL_STEPS = 40
"""Steps of a trial below which its loss says little of the text."""

LEVEL = 0.8
"""Of the interval, as for all predictions of a plan."""


class FractionPoint(msgspec.Struct, frozen=True):
    """A trial on a fraction of the text."""

    fraction: float
    steps: int
    bits_per_byte: float
    pieces: list[float]
    """Bits per byte of pieces of the validation set."""
    seconds: float


class MoreTextGain(msgspec.Struct, frozen=True):
    """Loss with `SCALE` times the text over the loss with the text, for equal steps."""

    ratio: float
    interval: tuple[float, float]
    """80 %: over pieces of the validation set and over seeds."""


def trial_steps(run_steps: int) -> int:
    """Return steps of each trial for a run of `run_steps`."""
    return max(MIN_TRIAL_STEPS, round(run_steps / SCALE))


def measure_text_fractions(
    config: RunConfig, steps: int, seconds_left: Callable[[], float]
) -> list[FractionPoint]:
    """Train `config` for `steps` on each of `FRACTIONS` of its text, while `seconds_left`."""
    points: list[FractionPoint] = []
    took = 0.0
    for fraction in FRACTIONS:
        before = seconds_left()
        if before < took:
            break
        result = run_timed_trial(
            make_trial_spec(
                config, steps=steps, train_fraction=fraction, evaluate_every=-(-steps // LOOKS)
            ),
            seconds_left,
        )  # fmt: skip
        if result is None:
            continue  # it diverged, or its time is up
        took = before - seconds_left()
        points.append(_point(fraction, result))
    return sorted(points, key=lambda p: p.fraction)


LOOKS = 4
"""Evaluations of a trial, at which it ends if the time is up."""


def run_timed_trial(spec: TrialSpec, seconds_left: Callable[[], float]) -> TrialResult | None:
    """Return the result of `spec`; None where it diverged or its time was up before its end."""
    result = run_trial(spec, lambda point: seconds_left() < 0)
    return result if result.steps == spec.steps else None


def _point(fraction: float, result: TrialResult) -> FractionPoint:
    to_bits = result.bits_per_byte / result.validation_loss
    pieces = [loss * to_bits for loss in result.chunk_losses]
    return FractionPoint(fraction, result.steps, result.bits_per_byte, pieces, result.seconds)


def more_text_gain(points: Sequence[FractionPoint]) -> MoreTextGain | None:
    """Return what `SCALE` times the text brings; None without the two ends.

    More text is never counted as a loss: a ratio is at most 1.
    """
    small = next((p for p in points if math.isclose(p.fraction, 1 / SCALE)), None)
    whole = next((p for p in points if p.fraction == 1.0), None)
    if small is None or whole is None:
        return None
    log_ratio = math.log(whole.bits_per_byte / small.bits_per_byte)
    variance = 2 * SEED_DEVIATION**2 + _pieces_deviation(small, whole) ** 2
    half = NormalDist().inv_cdf(0.5 + LEVEL / 2) * math.sqrt(variance)
    low, here, high = (min(math.exp(log_ratio + d), 1.0) for d in (-half, 0.0, half))
    return MoreTextGain(here, (low, high))


def _pieces_deviation(small: FractionPoint, whole: FractionPoint) -> float:
    """Return the standard deviation of the logarithm of the ratio, over pieces of the validation
    set."""
    if len(small.pieces) != len(whole.pieces) or len(small.pieces) < 2:
        return 0.0
    ratios = [math.log(b / a) for a, b in zip(small.pieces, whole.pieces, strict=True)]
    interval = paired_interval(ratios)
    return (interval.high - interval.low) / (2 * NormalDist().inv_cdf(0.975))
