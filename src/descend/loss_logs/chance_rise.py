"""How far a series of losses without a trend ends above its lowest by chance."""

from __future__ import annotations

import math

import numpy as np

from descend.loss_logs.curve_features import (
    MIN_TRAINING_POINTS,
    Floats,
    averaged,
    noise_around,
)
from descend.metrics.periodicity import running_mean

CHANCE = 6.0
"""Standard errors of the smoothed loss that lie between its end and its lowest by chance: the
lowest of twenty means is picked. Without any trend, 1 to 3 of 100 logs exceed it."""
IN_A_ROW = 3
"""Rises in a row at the end that are no chance: one order of 24."""


def rises_beyond_chance(losses: Floats, fraction: float) -> bool:
    """Return whether losses end above their lowest by more than this fraction of it and chance."""
    width = averaged(len(losses))
    lowest = float(running_mean(losses, width).min())
    rise = float(losses[-width:].mean()) - lowest
    if rise <= fraction * abs(lowest):
        return False
    chance = chance_before_end(losses)
    is_steady = len(losses) > IN_A_ROW and bool((np.diff(losses[-IN_A_ROW - 1 :]) > 0).all())
    return is_steady or (chance is not None and rise > chance)


def chance_before_end(losses: Floats) -> float | None:
    """Return the rise that chance explains by the noise before the end, so that a sudden rise is
    none; None for too few losses."""
    width = averaged(len(losses))
    before = losses[:-width]
    if len(before) < MIN_TRAINING_POINTS:
        return None
    noise = noise_around(before, running_mean(before, width), width)
    return CHANCE * noise / math.sqrt(width)
