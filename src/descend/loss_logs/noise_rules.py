"""What the noise of single losses hides: whether a loss rose, and whether it fell at all."""

from __future__ import annotations

import math

from descend.loss_logs.chance_rise import CHANCE, chance_before_end
from descend.loss_logs.curve_features import finite_training
from descend.loss_logs.curve_origin import is_fragment
from descend.loss_logs.epoch_pattern import start_end_lowest
from descend.loss_logs.judgment import LogVerdict, Shape
from descend.loss_logs.normality import MANY_TOKENS

HARDLY_FELL, HARDLY_FELL_MANY = 0.12, 0.2
"""Fraction of the first loss: a network that learns anything at all about a text comes further down
by the frequencies of its tokens alone. The second where tokens are pieces of words by the thousand:
those are so unequal that their frequencies save a quarter and more. First guesses."""
TREND = 3.0
"""Standard errors between the means of both halves from which the loss changes beyond chance."""


def min_learned_fall(first: float) -> float:
    """Return the fraction of the first loss that a network which learns anything loses."""
    return HARDLY_FELL_MANY if first >= MANY_TOKENS else HARDLY_FELL


def max_chance_rise(shape: Shape) -> float:
    """Return the nats above its lowest at which a smoothed loss without a trend may end."""
    _, losses = finite_training(shape.log.entries)
    chance = chance_before_end(losses)
    return CHANCE * shape.curve.noise_of_mean if chance is None else chance


def hidden_by_noise(shape: Shape) -> LogVerdict | None:
    """Return losses that differ so much from entry to entry that neither a fall nor a rise is
    visible, though the fall of a run that learns would be as large."""
    curve = shape.curve
    start, end, lowest = start_end_lowest(shape, curve)
    chance = max_chance_rise(shape)
    if is_fragment(curve) or not chance >= min_learned_fall(start) * start > 0:
        return None
    if max(start, end) - lowest > chance or _has_trend(shape):
        return None
    return LogVerdict(
        f"single losses differ by about {curve.noise:.2f} from one to the next, and the change "
        f"from {start:.2f} to {end:.2f} is within this noise: {curve.finite_points} such losses "
        "show neither a fall nor a rise",
        advice="train for longer, or log the mean of many batches: it shows a trend where single "
        "batches, or samples, hide it",
    )


def _has_trend(shape: Shape) -> bool:
    """Return whether the means of both halves differ beyond chance."""
    _, losses = finite_training(shape.log.entries)
    middle = len(losses) // 2
    if not middle:
        return False
    error = 2 * shape.curve.noise / math.sqrt(len(losses))
    return abs(float(losses[:middle].mean() - losses[middle:].mean())) > TREND * error
