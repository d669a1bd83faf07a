"""The formula of a learning curve.

With S the tokens trained on, each counted at its fraction of the peak rate, eta that share now, p
the passes over the text that are complete and r the passes counted continuously:

    learned(S) = E + (L0 - E) (1 + S / k)^-a
    slack(S)   = C eta S / (S + k)
    held out   = learned(S) + slack(S) + H max(r - 1, 0)^1.5 (2 - eta) + offset
    training   = learned(S) + slack(S) - M p^0.5 (1 + (1 - eta) / 2)

The first line is the power law of learning curves, begun at the loss before the first step. The
second is what a high rate holds back and the decay of the schedule gives free (Tissue et al. 2024,
arXiv 2408.11029, where the area under the decay plays this part). M is what the model has
memorized of a text after seeing it, and H what that costs on other text, both the more as the rate
falls: Muennighoff et al. 2023 describe the same as data that is worth less each time. All losses
are in nats per token.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

PARAMETERS = ("floor", "pace", "bend", "noise", "memory", "harm", "offset")
"""ln(E / scale), ln k, ln a, ln C, ln M, ln H, offset: all free to be any number."""

MEMORY_POWER, HARM_POWER = 0.5, 1.5
MEMORY_BOOST, HARM_BOOST = 0.5, 1.0
"""Exponents, and what falls to the rate, the same for all runs: chosen among a few by how well
recorded runs were forecast (benchmarks/forecast/fit.py)."""

MAX_EXPONENT = 30.0
"""Logarithms beyond this mean nothing and would overflow."""


@dataclass(frozen=True)
class TrajectoryPoints:
    """Points of a run, as arrays of one length."""

    trained: Floats
    """Tokens so far, each at its fraction of the peak rate."""
    rate: Floats
    """Fraction of the peak rate, 0 to 1."""
    epochs: Floats
    """Passes over the text, counted continuously."""

    def __len__(self) -> int:
        return len(self.trained)

    def __getitem__(self, which: slice | NDArray[np.intp] | NDArray[np.bool_]) -> TrajectoryPoints:
        return TrajectoryPoints(self.trained[which], self.rate[which], self.epochs[which])


def fresh_text_loss(z: Floats, points: TrajectoryPoints, start: float, scale: float) -> Floats:
    """Return the loss on fresh text of the same source: power law and learning-rate term.

    `z` is (parameters,) or (draws, parameters); so is the result (points,) or (draws, points).
    """
    positive = np.exp(np.clip(z[..., :4, None], -MAX_EXPONENT, MAX_EXPONENT))
    floor, pace, bend, noise = (positive[..., i, :] for i in range(4))
    progress = points.trained / pace
    fresh = scale * floor + (start - scale * floor) * (1 + progress) ** -bend
    noisy_loss: Floats = fresh + noise * points.rate * progress / (1 + progress)
    return noisy_loss


def validation_loss(z: Floats, points: TrajectoryPoints, start: float, scale: float) -> Floats:
    """Return the validation loss at `points`."""
    harm = np.exp(np.clip(z[..., 5, None], -MAX_EXPONENT, MAX_EXPONENT))
    repeats = np.maximum(points.epochs - 1, 0) ** HARM_POWER * (1 + HARM_BOOST * (1 - points.rate))
    losses: Floats = fresh_text_loss(z, points, start, scale) + harm * repeats + z[..., 6, None]
    return losses


def training_loss(z: Floats, points: TrajectoryPoints, start: float, scale: float) -> Floats:
    """Return the loss on training batches, each before its update."""
    memory = np.exp(np.clip(z[..., 4, None], -MAX_EXPONENT, MAX_EXPONENT))
    known = np.floor(points.epochs) ** MEMORY_POWER * (1 + MEMORY_BOOST * (1 - points.rate))
    losses: Floats = fresh_text_loss(z, points, start, scale) - memory * known
    return losses
