"""The trajectory of a run: the point on the curve of each past and future step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from descend.config import RunConfig
from descend.forecast.curve_model import Floats, TrajectoryPoints
from descend.forecast.curve_prior import ObservedCurve
from descend.training.lr_schedule import make_lr_schedule

GROUPS = 32
"""Training losses enter a fit as means over so many equal spans: single batches are noise."""

OLD_PARTS_COUNT_LESS = 20.0
"""How much further the formula may be from the beginning of a run than from what was seen last, as
a factor of the error: the end is what is forecast."""


@dataclass(frozen=True)
class Trajectory:
    """Steps under one schedule, possibly after earlier training."""

    learning_rates: Floats
    """Fraction of the peak rate at each step."""
    tokens_per_step: int
    tokens_per_epoch: int
    trained_before: float = 0.0
    epochs_before: float = 0.0

    @property
    def steps(self) -> int:
        """Steps of the whole trajectory."""
        return len(self.learning_rates)

    def points_at(self, steps: Floats) -> TrajectoryPoints:
        """Return the places after so many steps of this trajectory (fractions allowed)."""
        sums = np.concatenate([[0.0], np.cumsum(self.learning_rates)]) * self.tokens_per_step
        trained = np.interp(steps, np.arange(self.steps + 1), sums)
        last = np.clip(np.ceil(steps).astype(np.int64) - 1, 0, self.steps - 1)
        epochs = steps * self.tokens_per_step / self.tokens_per_epoch
        return TrajectoryPoints(
            self.trained_before + trained, self.learning_rates[last], self.epochs_before + epochs
        )


def make_trajectory(
    config: RunConfig, warmup_steps: int, steps: int, tokens_per_pass: int,
    before: tuple[float, float] = (0.0, 0.0),
) -> Trajectory:  # fmt: skip
    """Return the trajectory of `steps` steps that `config` asks for, after `before` (tokens trained
    on, passes).

    `tokens_per_pass` are the tokens that one pass over the text predicts.
    """
    per_step = config.batch_size * config.seq_len

    def epoch_of(step: int) -> int:
        return step * per_step // tokens_per_pass + 1

    rate = make_lr_schedule(config, warmup_steps, steps, epoch_of)
    rates = np.array([rate(step) for step in range(steps)])
    return Trajectory(rates / rates.max(), per_step, tokens_per_pass, *before)


@dataclass(frozen=True)
class LossSpans:
    """Training losses in order: the mean over each span of steps, ending after step `ends`."""

    ends: Floats
    losses: Floats

    def until(self, step: int) -> LossSpans:
        """Return those that end by `step`."""
        is_complete = self.ends <= step
        return LossSpans(self.ends[is_complete], self.losses[is_complete])


def observe(
    trajectory: Trajectory, spans: LossSpans, epoch_steps: Floats, validation_losses: Floats, *,
    start: float, scale: float, training_error: float,
) -> ObservedCurve:  # fmt: skip
    """Return what `trajectory` has shown so far, the training losses in at most `GROUPS` groups."""
    indices = np.arange(len(spans.ends))
    groups = np.array_split(indices, min(GROUPS, len(indices))) if len(indices) else []
    begins = np.concatenate([[0.0], spans.ends[:-1]])
    middles = np.array([(begins[g[0]] + spans.ends[g[-1]]) / 2 for g in groups])
    means = np.array([spans.losses[g].mean() for g in groups])
    noise = np.array([_error_of_mean(spans.losses[g]) for g in groups])
    points = trajectory.points_at(middles)
    age = 1 - points.trained / max(points.trained[-1], 1e-9) if len(points) else points.trained
    missed = training_error * (1 + OLD_PARTS_COUNT_LESS * age**2)
    return ObservedCurve(
        train_points=points,
        train_losses=means,
        train_errors=np.hypot(missed, noise),
        validation_points=trajectory.points_at(epoch_steps),
        validation_losses=validation_losses,
        start=start,
        scale=scale,
    )


def _error_of_mean(losses: Floats) -> float:
    """Return the standard error of the mean of `losses`, without trend: from neighbours'
    differences."""
    if len(losses) < 2:
        return 0.0
    return float(np.std(np.diff(losses)) / np.sqrt(2 * len(losses)))
