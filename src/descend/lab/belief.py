"""What is believed of the curve of a run: before it is seen, and after a part of it was seen.

Before: a normal distribution over the parameters of `formula`, whose mean depends on what the run
is (rate, batch, size, text). It was learned from recorded runs and stands in `belief.json`. After:
the most probable parameters and the curvature there (Laplace's approximation). Few points leave
the belief near where it began, so a run of one epoch has a forecast too, with a wide interval.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import msgspec
import numpy as np

from descend.lab.formula import Floats, Points, held_out, on_training
from descend.lab.squares import least_squares

FEATURES = (
    "one", "rate", "batch_tokens", "parameters", "train_tokens", "vocabulary", "adamw", "dropout",
    "blank_rate",
)  # fmt: skip


class Belief(msgspec.Struct, frozen=True):
    """The distribution before a run is seen, and how far the formula is from real curves."""

    mean: list[list[float]]
    """A row a parameter, a column a feature."""
    covariance: list[list[float]]
    validation_error: float
    """Nats by which a validation loss strays from the formula, one standard deviation."""
    training_error: float
    """The same for the mean training loss of a thirty-second of what was seen."""
    widening: float
    """Factor that makes four of five recorded runs fall into their interval of 80 %."""
    widening_continued: float
    """The same for runs that were continued after their end."""
    accuracy_slope: float
    """Accuracy gained per nat of validation loss lost, while the loss falls."""
    accuracy_slope_rising: float
    """The same while it rises."""
    learned_from: str
    """The command, the runs and the date."""


@dataclass(frozen=True)
class Traits:
    """What a run is, as far as the belief depends on it."""

    peak_rate: float
    tokens_per_step: int
    parameters: int
    train_tokens: int
    vocab_size: int
    adamw: bool
    dropout: float
    blank_rate: float = 0.0

    def features(self) -> Floats:
        """The numbers of `FEATURES`: logarithms about a middling run, so that each is near 0."""
        return np.array([
            1.0,
            math.log(self.peak_rate / 0.001),
            math.log(self.tokens_per_step / 1024),
            math.log(self.parameters / 3e5),
            math.log(self.train_tokens / 1e5),
            math.log(self.vocab_size / 1024),
            float(self.adamw),
            10 * self.dropout,
            10 * self.blank_rate,
        ])  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """What a run has shown: losses (nats) at points of its way."""

    train_points: Points
    train_losses: Floats
    train_errors: Floats
    """Standard deviation of each: noise of the batches, and what the formula misses."""
    held_points: Points
    held_losses: Floats
    start: float
    """Loss before the first step."""
    scale: float
    """Loss of a model that knows only how frequent each token is: what the floor is a share of."""


@dataclass(frozen=True)
class Posterior:
    """Parameters after a run was seen: normal, about the most probable ones."""

    z: Floats
    covariance: Floats
    start: float
    scale: float

    def held_out(self, points: Points, draws: int, seed: int = 0) -> Floats:
        """Validation losses at `points` for so many draws of the parameters, (draws, points);
        the first row is the most probable."""
        pick = np.random.default_rng(seed)
        root = np.linalg.cholesky(self.covariance)
        zs = self.z + pick.standard_normal((draws, len(self.z))) @ root.T
        zs[0] = self.z
        return held_out(zs, points, self.start, self.scale)


@cache
def learned_belief() -> Belief:
    """The belief that comes with the package."""
    text = files("descend.lab").joinpath("belief.json").read_bytes()
    return msgspec.json.decode(text, type=Belief)


def believe(seen: Seen, traits: Traits, belief: Belief) -> Posterior:
    """The parameters of a run, given what it has shown."""
    mean = np.array(belief.mean) @ traits.features()
    covariance = np.array(belief.covariance)
    precision_root = np.linalg.cholesky(np.linalg.inv(covariance)).T

    def misses(z: Floats) -> Floats:
        train = on_training(z, seen.train_points, seen.start, seen.scale) - seen.train_losses
        held = held_out(z, seen.held_points, seen.start, seen.scale) - seen.held_losses
        return np.concatenate([
            train / seen.train_errors,
            held / belief.validation_error,
            (z - mean) @ precision_root.T,
        ], axis=-1)  # fmt: skip

    z, curvature = least_squares(misses, mean)
    left = np.asarray(np.linalg.inv(curvature), dtype=np.float64)
    return Posterior(z, left, seen.start, seen.scale)
