"""The causes, a file each; the tuple is explicit, and a test holds it against the folder."""

from __future__ import annotations

from descend.doctor.cause import Cause
from descend.doctor.causes import (
    bad_initialisation,
    bad_schedule,
    batch_too_large,
    batch_too_small,
    context_too_short,
    context_unused,
    distribution_shift,
    diverged,
    duplicates,
    leakage,
    learning_rate_too_high,
    learning_rate_too_low,
    model_too_small,
    noise_floor,
    over_regularised,
    too_little_data,
    undertrained,
    vocabulary_too_large,
    vocabulary_too_small,
)

CAUSES: tuple[Cause, ...] = (
    bad_initialisation.CAUSE,
    bad_schedule.CAUSE,
    batch_too_large.CAUSE,
    batch_too_small.CAUSE,
    context_too_short.CAUSE,
    context_unused.CAUSE,
    distribution_shift.CAUSE,
    diverged.CAUSE,
    duplicates.CAUSE,
    leakage.CAUSE,
    learning_rate_too_high.CAUSE,
    learning_rate_too_low.CAUSE,
    model_too_small.CAUSE,
    noise_floor.CAUSE,
    over_regularised.CAUSE,
    too_little_data.CAUSE,
    undertrained.CAUSE,
    vocabulary_too_large.CAUSE,
    vocabulary_too_small.CAUSE,
)
