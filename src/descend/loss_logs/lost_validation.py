"""Validation losses that are no numbers beside training losses that are: the evaluation failed."""

from __future__ import annotations

import dataclasses
import math

from descend.loss_logs.curve_notes import format_loss
from descend.loss_logs.judgment import LogVerdict, Shape
from descend.loss_logs.log import LossLog

ADVICE = (
    "look at the evaluation: a validation set that is empty or whose labels are missing or all "
    "ignored divides by 0, half precision overflows, and averaged weights (EMA) may be no numbers"
)


def count_lost_validations(log: LossLog) -> int:
    """Return how many validation losses a log has if none of them is a number, else 0."""
    losses = [e.validation_loss for e in log.entries if e.validation_loss is not None]
    if any(map(math.isfinite, losses)):
        return 0
    return len(losses) or log.lost_validations


def add_lost_validation(shape: Shape, verdict: LogVerdict) -> LogVerdict:
    """Return `verdict` with the failed evaluation: as its reason where nothing else is wrong."""
    count, curve = count_lost_validations(shape.log), shape.features
    if (
        not count
        or curve is None
        or not curve.training_points
        or curve.finite_points < curve.points
    ):
        return verdict
    lost = f"all {count} validation losses are no numbers" if count > 1 else (
        "the one validation loss is no number"
    )  # fmt: skip
    if verdict.normal == "no":
        return dataclasses.replace(verdict, notes=[*verdict.notes, f"{lost}: {ADVICE}"])
    reason = (
        f"{lost}, while the training loss goes from {format_loss(curve.first)} to "
        f"{format_loss(curve.end)}: the evaluation is at fault, and how the model does on other "
        "data cannot be determined"
    )
    return LogVerdict(reason, "no", advice=ADVICE, ruled_out=verdict.ruled_out, notes=verdict.notes)
