"""A number with its interval, as records keep it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from descend.trials.paired_stats import paired_interval


class Estimate(msgspec.Struct, frozen=True):
    """A mean and its 95 % interval; None where there was one measurement alone."""

    value: float
    ci95: tuple[float, float] | None


def estimate_mean(samples: Sequence[float]) -> Estimate:
    """Return the mean of `samples` and its interval."""
    interval = paired_interval(samples)
    return Estimate(interval.value, (interval.low, interval.high) if len(samples) > 1 else None)


def to_loss_reduction(difference: Estimate) -> Estimate:
    """Turn a difference of losses, new minus old, into a loss reduction: positive is better."""
    ends = difference.ci95
    return Estimate(
        0.0 - difference.value, None if ends is None else (0.0 - ends[1], 0.0 - ends[0])
    )
