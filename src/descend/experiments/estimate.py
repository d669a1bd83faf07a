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
    """The mean of `samples` and its interval."""
    interval = paired_interval(samples)
    return Estimate(interval.value, (interval.low, interval.high) if len(samples) > 1 else None)
