"""A run in which nothing is trained: its gradient is 0, or its loss stays that of a guess."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from descend.loss_logs.curve_features import CurveFeatures
from descend.loss_logs.judgment import LogVerdict, Shape
from descend.loss_logs.log import finite_losses

MIN_ENTRIES = 20
"""Entries from which a run that has learned nothing should have."""
GUESS = math.log(2)
NEAR_GUESS = 0.005
"""Nats from ln 2 within which a loss is one of a guess: a margin of 0.01 between two rewards."""
MAX_CHANCE = 3.0
"""Standard errors of a mean that chance explains."""
DIGIT = 1e-4
"""Steps in which logs write losses and margins, about."""
NO_PARAMETERS = (
    "look which parameters are trained: whether `requires_grad` of any is set, whether the adapter "
    "is attached and not frozen, and whether the optimizer has them (`descend check` looks, too)"
)
NO_DIFFERENCE = (
    "look whether the two answers differ after they are cut to length, whether the optimizer has "
    "the parameters of this model, and whether the reference is a copy of it. Then raise the "
    "learning rate tenfold"
)


def untrained(shape: Shape) -> LogVerdict | None:
    """Return a run that has learned nothing, by its gradient or by its loss."""
    curve = shape.curve
    zeros = _count_zero_gradients(shape)
    gradient = f"the gradient norm is exactly 0 in all {zeros} entries"
    guess = _describe_guess(shape, curve)
    if guess:
        reason = f"{guess}: nothing is learned"
        if zeros:
            reason += f". {gradient[0].upper()}{gradient[1:]}, so that no parameter is trained"
    elif zeros and curve.start - curve.end <= max(MAX_CHANCE * curve.noise_of_mean, DIGIT):
        reason = f"{gradient}, and the loss does not fall: no parameter is trained"
    else:
        return None
    advice = NO_PARAMETERS if zeros else NO_DIFFERENCE
    return LogVerdict(reason, "no", 0.7, advice=advice)


def _count_zero_gradients(shape: Shape) -> int:
    """Return how many gradient norms are logged if all are exactly 0, else 0."""
    norms = [e.gradient_norm for e in shape.log.entries if e.gradient_norm is not None]
    return len(norms) if len(norms) >= MIN_ENTRIES and not any(norms) else 0


def _describe_guess(shape: Shape, curve: CurveFeatures) -> str:
    """Return that a loss of two answers or classes is one of a guess from start to end."""
    losses = [loss for _, loss in finite_losses(shape.log.entries, "train_loss")]
    is_of_two = shape.log.objective in ("preference", "two classes")
    if not is_of_two or len(losses) < MIN_ENTRIES:
        return ""
    if max(abs(x - GUESS) for x in (curve.start, curve.end, curve.lowest)) > NEAR_GUESS:
        return ""
    if _is_rising([GUESS - loss for loss in losses]):
        return ""
    text = f"the loss stays at {curve.end:.4f}, which is ln 2, what a guess between two costs"
    margin = shape.log.margin
    if margin is None or shape.log.objective != "preference":
        return text
    values = [value for _, value in margin.values if math.isfinite(value)]
    if len(values) < MIN_ENTRIES:
        return text
    if _is_rising(values):
        return ""
    mean = sum(values) / len(values)
    return f"{text}, and the margins of the rewards at {mean:.2g}, as before the first step"


def _is_rising(values: Sequence[float]) -> bool:
    """Return whether the last quarter lies above 0 and above the first by more than chance."""
    count = len(values) // 4
    first, last = np.array(values[:count]), np.array(values[-count:])
    error = math.sqrt((first.var() + last.var()) / count)
    rise = float(last.mean() - first.mean())
    return rise > max(MAX_CHANCE * error, DIGIT) and float(last.mean()) > DIGIT
