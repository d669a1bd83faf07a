"""How the validation loss changes at the end: not at all, or by less than the training loss."""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np

from descend.loss_logs.curve_features import MIN_FOR_SLOPE, gain_of_doubling, slope_per_doubling
from descend.loss_logs.curve_notes import describe_place
from descend.loss_logs.judgment import LogVerdict, Shape
from descend.loss_logs.log import finite_losses

MIN_FROZEN, MIN_FROZEN_FRACTION, EXACT_DIGITS = 5, 0.25, 5
"""Validation losses at the end that are one number, the fraction of the run that they reach over,
and its digits: of a model that is trained, so many digits do not come again even once."""


def frozen_validation(shape: Shape) -> LogVerdict | None:
    """Return validation losses that are one number to the last of many digits, though training
    goes on: the weights that are validated do not change."""
    curve = shape.curve
    validated = finite_losses(shape.log.entries, "validation_loss")
    last = validated[-1][1] if validated else 0.0
    first_other = next(
        (i for i, (_, x) in enumerate(reversed(validated)) if x != last), len(validated)
    )
    alike = validated[len(validated) - first_other :]
    if len(alike) < MIN_FROZEN or _count_digits(last) < EXACT_DIGITS:
        return None
    since = alike[0][0]
    trained = {loss for at, loss in finite_losses(shape.log.entries, "train_loss") if at > since}
    if len(trained) < MIN_FROZEN or alike[-1][0] - since < MIN_FROZEN_FRACTION * curve.length:
        return None
    place = describe_place(curve, since)
    return LogVerdict(
        f"the last {len(alike)} validation losses, from {place} on, are one number to the last "
        f"digit ({last:.5g}): the model that is validated does not change", "no",
        advice="look whether the learning rate has become 0, whether the optimizer has the "
        f"parameters of this model, and whether this model is validated. Go on from {place}",
    )  # fmt: skip


def _count_digits(loss: float) -> int:
    """Return the digits that a loss was logged with, or the perplexity that it is reckoned from."""
    perplexity = round(math.exp(min(loss, MAX_LOG)), 6)
    return min(len(Decimal(repr(x)).normalize().as_tuple().digits) for x in (loss, perplexity))


MAX_LOG = 30.0
"""Nats above which a perplexity has no digits behind the point."""


def limit_gain(shape: Shape, gain: float) -> float:
    """Return nats that more training may gain, no more than the validation loss falls by where
    there are enough of them: the training loss falls on where text is memorized."""
    validated = validation_slope(shape)
    return gain if validated is None else min(gain, max(validated[0], 0.0))


def validation_slope(shape: Shape) -> tuple[float, float, float] | None:
    """Return the fall of the validation loss per doubling, its standard error, and the gain of a
    doubling; None where the losses do not tell."""
    validated = finite_losses(shape.log.entries, "validation_loss")
    if len(validated) < MIN_FOR_SLOPE or shape.log.has_other_validation_unit:
        return None
    places, losses = (np.array(side) for side in zip(*validated, strict=True))
    slope, error = slope_per_doubling(places, losses)
    return None if math.isinf(error) else (slope, error, gain_of_doubling(places, losses))
