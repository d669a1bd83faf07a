"""Where a curve begins: from nothing, from a trained model, or in the middle of a run."""

from __future__ import annotations

from descend.loss_logs.curve_features import CurveFeatures
from descend.loss_logs.loss_kinds import MAX_INTERVALS_BEFORE, NEAR_START_STEPS
from descend.loss_logs.normality import FREQUENCY_NATS, is_by_epoch

TRAINED_START = 2.5
"""Nats under which no untrained network of more than a dozen tokens begins."""
SMALL_RATE = 3e-5
"""Peak rates under this are for fine-tuning; small models are trained from the start at 3e-4 to
1e-2."""
TINY_RATE = 1e-6
"""Peak rates under this are too small for training a trained model further, too."""
FINETUNING_RATE = 2e-4
"""Peak rates up to it are usual where a trained model is trained further: 2e-5 to 5e-5 for all of
it, 2e-4 for adapters. Small models are seldom begun with so little."""
FINETUNING_START = 5.0
"""Nats that a trained model hardly starts above, and one that begins from nothing with pieces of
words does (a vocabulary of 1,000 costs 6.9)."""
MAX_BEGINNING_FRACTION = 0.125
"""Fraction of a run before the first loss from which a log is a fragment: three doublings of the
run are in one that begins earlier, and show whether it learns."""


def is_fragment(curve: CurveFeatures) -> bool:
    """Return whether the log begins in the middle of a run, so that its fall is not all in it."""
    begins = max(
        NEAR_START_STEPS if curve.unit == "steps" else 1, MAX_INTERVALS_BEFORE * curve.interval
    )
    return (
        curve.unit != "entries"
        and curve.first_position > begins
        and curve.first_position > MAX_BEGINNING_FRACTION * curve.length
    )


def started_trained(curve: CurveFeatures) -> bool:
    """Return whether the first loss is one of a network that has learned something."""
    if is_by_epoch(curve):
        return curve.first < FREQUENCY_NATS
    return curve.first < TRAINED_START


def has_low_rate(curve: CurveFeatures, limit: float) -> bool:
    """Return whether the log tells its rate, and the highest is under `limit`."""
    return curve.rate_highest is not None and curve.rate_highest < limit


def resembles_finetuning(curve: CurveFeatures) -> bool:
    """Return whether rate and start are those of a model that was trained before."""
    rate = curve.rate_highest
    return rate is not None and TINY_RATE <= rate <= FINETUNING_RATE and (
        curve.first < FINETUNING_START
    )  # fmt: skip
