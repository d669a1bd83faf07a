"""The learning rate as a fraction of its peak, at each step of a run."""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable

from descend.config import RunConfig

WSD_DECAY_FRACTION = 0.5
"""Fraction of the run in which warmup-stable-decay falls to zero (the ablations in
docs/recipe.md)."""


def make_lr_schedule(
    config: RunConfig, warmup_steps: int, total_steps: int, epoch_of: Callable[[int], int]
) -> Callable[[int], float]:
    """Return the rate at step s = 0, 1, …, `total_steps` - 1.

    All but `piecewise` rise linearly over `warmup_steps` and end near zero (constant: at the
    peak). `piecewise` holds the rate of the latest epoch named, the first one also before it.
    """
    rates = config.learning_rate
    if isinstance(rates, dict):
        epochs = sorted(rates)

        def piecewise(step: int) -> float:
            index = bisect.bisect_right(epochs, epoch_of(step)) - 1
            return rates[epochs[max(index, 0)]] * warmup(step)

    def warmup(step: int) -> float:
        return min(1.0, (step + 1) / (warmup_steps + 1))

    def single(step: int) -> float:
        assert isinstance(rates, float)
        remaining_fraction = (total_steps - step) / max(total_steps - warmup_steps, 1)
        return rates * min(
            warmup(step), decay_factor(config.schedule, min(remaining_fraction, 1.0))
        )

    return piecewise if isinstance(rates, dict) else single


def decay_factor(schedule: str, remaining_fraction: float) -> float:
    """Return the fraction of the peak when `left` (1 to 0) of the run after warmup remains."""
    if schedule == "linear":
        return remaining_fraction
    if schedule == "cosine":
        return 0.5 * (1 - math.cos(math.pi * remaining_fraction))
    if schedule == "wsd":
        return min(1.0, remaining_fraction / WSD_DECAY_FRACTION)
    return 1.0


def schedule_phases(
    config: RunConfig, warmup_steps: int, total_steps: int
) -> list[tuple[int, str]]:
    """Return where the rate begins to behave otherwise: the steps made by then, and what begins.

    Of `piecewise` the warmup alone: its other phases are the epochs that it names.
    """
    phases = [(warmup_steps, "warmup ends")] if warmup_steps else []
    if config.schedule in ("linear", "cosine") and warmup_steps:
        phases = [(warmup_steps, "rate falls")]
    if config.schedule == "wsd":
        decay_steps = WSD_DECAY_FRACTION * max(total_steps - warmup_steps, 1)
        phases.append((round(total_steps - decay_steps), "rate falls"))
    return [(step, label) for step, label in phases if 0 < step < total_steps]
