"""The shape of a curve whose level cannot be judged: a loss of another kind that is minimized."""

from __future__ import annotations

import statistics

import numpy as np

from descend.loss_logs.chance_rise import rises_beyond_chance
from descend.loss_logs.curve_features import CurveFeatures, averaged
from descend.loss_logs.judgment import Shape
from descend.loss_logs.log import finite_losses
from descend.loss_logs.loss_kinds import NEGATIVE
from descend.loss_logs.positions import format_place

NOT_MINIMIZED = frozenset({"reward", "adversarial", "preference"})
"""Losses that need not fall for a run to learn: of policies, of two networks against each other."""
MIN_POINTS = 8
"""Finite losses from which a shape is described."""
FELL = 0.12
"""Fraction of the first loss that must be lost for a loss to have fallen."""
LEVEL_FRACTION = 0.05
"""Fraction of the whole fall that the second half of the log brings, below which it levels off."""
ROSE = 0.05
"""Fraction of its minimum by which a validation loss must have risen. First guesses all."""


def describe_shape(shape: Shape) -> str:
    """Return what the shape shows; empty where the loss need not fall or the points are few."""
    curve = shape.curve
    if not is_minimized(shape):
        return ""
    if curve.first_nonfinite is not None or curve.finite_points < MIN_POINTS:
        return ""
    if curve.first - curve.end < FELL * curve.first:
        return (
            f"The shape shows no clear fall: the loss is {curve.first:.2f} at first and "
            f"{curve.end:.2f} at the end"
        )
    return f"The shape is normal: the loss {_describe_fall(shape, curve)}{_beside(curve)}"


def is_minimized(shape: Shape) -> bool:
    """Return whether the loss must fall for the run to learn."""
    is_negative = shape.log.objective_evidence == NEGATIVE or shape.curve.end <= 0
    return shape.log.objective not in NOT_MINIMIZED and not is_negative


def overfits(shape: Shape) -> bool:
    """Return whether the validation loss rises by more than chance while the training loss
    falls."""
    curve = shape.curve
    losses = [loss for _, loss in finite_losses(shape.log.entries, "validation_loss")]
    fell = (curve.training_after_best or 0.0) > FELL * curve.end
    return len(losses) > 1 and fell and rises_beyond_chance(np.array(losses), ROSE)


def _describe_fall(shape: Shape, curve: CurveFeatures) -> str:
    losses = [e.train_loss for e in shape.log.entries if e.train_loss is not None]
    if len(losses) < MIN_POINTS:
        return f"falls from {curve.first:.2f} to {curve.end:.2f}"
    num_averaged = averaged(len(losses))
    middle = len(losses) // 2
    halfway = statistics.fmean(losses[middle : middle + num_averaged])
    is_level = halfway - curve.end < LEVEL_FRACTION * (curve.first - curve.end)
    end = "and levels off" if is_level else "and was stopped while still falling"
    return f"falls from {curve.first:.2f} to {curve.end:.2f} {end}"


def _beside(curve: CurveFeatures) -> str:
    if curve.validation_best is None or curve.validation_end is None:
        return ", and nothing diverged. Without a validation loss, overfitting cannot be detected"
    best, end = curve.validation_best, curve.validation_end
    if end - best > ROSE * abs(best):
        place = format_place(curve.validation_best_at or 0.0)
        return (
            f", and nothing diverged. The validation loss ends at {end:.2f}, above its lowest, "
            f"{best:.2f} at {place} {curve.unit}, which may be chance"
        )
    return ", the validation loss does not rise, and nothing diverged"
