"""Where a loss that ends far above its start rose, and the constant at which it stays."""

from __future__ import annotations

import math

from descend.loss_logs.curve_features import CurveFeatures
from descend.loss_logs.curve_notes import EXPLODED, describe_place
from descend.loss_logs.judgment import Shape
from descend.loss_logs.log import finite_losses

MIN_CONSTANT = 10
"""Equal losses at the end from which the loss is stuck."""
SAME_DIGITS = 1e-5
"""Fraction by which a logged loss may differ from the limit that it stands for."""
LIMITS: tuple[tuple[float, str], ...] = (
    (-math.log(2.0**-126), "minus the logarithm of the smallest normal float (float32)"),
    (-math.log(2.0**-149), "minus the logarithm of the smallest float (float32)"),
    (100.0, "the most that PyTorch's binary cross-entropy gives"),
    *((-math.log(10.0**-n), f"minus the logarithm of 1e-{n}") for n in (7, 8, 10, 12)),
)
"""Losses that programs do not let a loss exceed, since they limit the probability from below."""


def describe_explosion(shape: Shape, curve: CurveFeatures, start: float) -> str:
    """Return since when the loss lies far above `start`, and at which constant it stays."""
    losses = finite_losses(shape.log.entries, "train_loss")
    if not losses:
        return ""
    above = len(losses)
    while above and losses[above - 1][1] > EXPLODED * min(start, curve.first):
        above -= 1
    if above == len(losses):
        return ""
    text = f", from {describe_place(curve, losses[above][0])} on"
    equal = len(losses)
    while equal and losses[equal - 1][1] == losses[-1][1]:
        equal -= 1
    if len(losses) - equal < MIN_CONSTANT:
        return text
    last = losses[-1][1]
    limit = next((why for x, why in LIMITS if abs(last - x) <= SAME_DIGITS * x), "")
    limit = (
        f", {limit}: the probability of the targets is 0, and nothing is learned" if limit else ""
    )
    return f"{text}; since {describe_place(curve, losses[equal][0])} it is exactly {last:g}{limit}"
