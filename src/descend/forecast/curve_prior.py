"""The prior of the parameters of a learning curve, and the posterior after observations.

Before: a normal distribution over the parameters of `formula`, whose mean depends on what the run
is (rate, batch, size, text). It was fitted on recorded runs and is in `curve_prior.json`. After:
the most probable parameters and the curvature there (Laplace's approximation). Few points leave
the prior near its start, so a run of one epoch has a forecast too, with a wide interval.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import msgspec
import numpy as np

from descend.forecast.curve_model import Floats, TrajectoryPoints, training_loss, validation_loss
from descend.forecast.least_squares import minimize_squared_residuals

FEATURES = (
    "one",
    "rate",
    "batch_tokens",
    "parameters",
    "train_tokens",
    "vocabulary",
    "adamw",
    "dropout",
    "token_dropout",
    "bpe_dropout",
)


class CurvePrior(msgspec.Struct, frozen=True):
    """The prior distribution, and the errors of the formula."""

    mean: list[list[float]]
    """A row a parameter, a column a feature."""
    covariance: list[list[float]]
    validation_error: float
    """Nats by which a validation loss strays from the formula, one standard deviation."""
    training_error: float
    """The same for the mean training loss of a thirty-second of what was seen."""
    interval_scale: float
    """Factor that makes four of five recorded runs fall into their interval of 80 %."""
    continued_errors: tuple[float, float]
    """How far runs that were continued after their end came out from their forecast, as fractions
    of it: the ends of an interval of 80 %."""
    accuracy_slope: float
    """Accuracy gained per nat of validation loss lost, while the loss falls."""
    accuracy_slope_rising: float
    """The same while it rises."""
    fitted_on: str
    """The command, the runs and the date."""


@dataclass(frozen=True)
class RunFeatures:
    """The features of a run on which the prior depends."""

    peak_learning_rate: float
    tokens_per_step: int
    parameters: int
    train_tokens: int
    vocab_size: int
    adamw: bool
    dropout: float
    token_dropout: float = 0.0
    bpe_dropout: float = 0.0

    def features(self) -> Floats:
        """Return the numbers of `FEATURES`: logarithms about a middling run, so that each is near
        0."""
        return np.array([
            1.0,
            math.log(self.peak_learning_rate / 0.001),
            math.log(self.tokens_per_step / 1024),
            math.log(self.parameters / 3e5),
            math.log(self.train_tokens / 1e5),
            math.log(self.vocab_size / 1024),
            float(self.adamw),
            10 * self.dropout,
            10 * self.token_dropout,
            10 * self.bpe_dropout,
        ])  # fmt: skip


@dataclass(frozen=True)
class ObservedCurve:
    """The recorded losses (nats) of a run at points of its training."""

    train_points: TrajectoryPoints
    train_losses: Floats
    train_errors: Floats
    """Standard deviation of each: noise of the batches, and what the formula misses."""
    validation_points: TrajectoryPoints
    validation_losses: Floats
    start: float
    """Loss before the first step."""
    scale: float
    """Loss of a model that knows only how frequent each token is: what the floor is a fraction
    of."""


@dataclass(frozen=True)
class CurvePosterior:
    """The posterior of the parameters: normal, around the most probable ones."""

    z: Floats
    covariance: Floats
    start: float
    scale: float

    def sample_validation_losses(self, points: TrajectoryPoints, draws: int) -> Floats:
        """Sample validation losses at `points`, (draws, points); the first row is most probable."""
        pick = np.random.default_rng(0)
        root = np.linalg.cholesky(self.covariance)
        zs = self.z + pick.standard_normal((draws, len(self.z))) @ root.T
        zs[0] = self.z
        return validation_loss(zs, points, self.start, self.scale)


@cache
def load_curve_prior() -> CurvePrior:
    """Load the prior that comes with the package."""
    text = files("descend.forecast").joinpath("curve_prior.json").read_bytes()
    return msgspec.json.decode(text, type=CurvePrior)


def fit_posterior(
    observed: ObservedCurve, features: RunFeatures, prior: CurvePrior
) -> CurvePosterior:
    """Fit the parameters of a run to its recorded losses."""
    mean = np.array(prior.mean) @ features.features()
    covariance = np.array(prior.covariance)
    precision_root = np.linalg.cholesky(np.linalg.inv(covariance)).T

    def residuals(z: Floats) -> Floats:
        train = (
            training_loss(z, observed.train_points, observed.start, observed.scale)
            - observed.train_losses
        )
        validation = (
            validation_loss(z, observed.validation_points, observed.start, observed.scale)
            - observed.validation_losses
        )
        return np.concatenate([
            train / observed.train_errors,
            validation / prior.validation_error,
            (z - mean) @ precision_root.T,
        ], axis=-1)  # fmt: skip

    z, curvature = minimize_squared_residuals(residuals, mean)
    posterior_covariance = np.asarray(np.linalg.inv(curvature), dtype=np.float64)
    return CurvePosterior(z, posterior_covariance, observed.start, observed.scale)
