"""The causes, a file each; the tuple is explicit, and a test holds it against the folder."""

from __future__ import annotations

from descend.diagnosis.cause import Cause
from descend.diagnosis.causes import (
    bad_initialization,
    bad_schedule,
    batch_too_large,
    batch_too_small,
    context_too_short,
    context_unused,
    data_leakage,
    distribution_shift,
    diverged,
    duplicate_data,
    learning_rate_too_high,
    learning_rate_too_low,
    model_too_small,
    noise_floor,
    over_regularized,
    too_little_data,
    undertrained,
    vocabulary_too_large,
    vocabulary_too_small,
)

CAUSES: tuple[Cause, ...] = (
    bad_initialization.CAUSE,
    bad_schedule.CAUSE,
    batch_too_large.CAUSE,
    batch_too_small.CAUSE,
    context_too_short.CAUSE,
    context_unused.CAUSE,
    distribution_shift.CAUSE,
    diverged.CAUSE,
    duplicate_data.CAUSE,
    data_leakage.CAUSE,
    learning_rate_too_high.CAUSE,
    learning_rate_too_low.CAUSE,
    model_too_small.CAUSE,
    noise_floor.CAUSE,
    over_regularized.CAUSE,
    too_little_data.CAUSE,
    undertrained.CAUSE,
    vocabulary_too_large.CAUSE,
    vocabulary_too_small.CAUSE,
)
