"""Which models to train after a first one, where a small text leaves time: each learns from those
before it too ("born-again" networks, Furlanello et al. 2018)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec
import numpy as np

from descend.errors import UserError
from descend.planner.plan import TrainingPlan

MAX_TEACHERS = 2
"""The latest models that the next one learns from."""

MAX_MODELS = 6
"""Models of one training with a time limit. The fourth still gained 0.3 % over the third
(benchmarks/results/recipe/generations.jsonl)."""

PREFERRED_EPOCHS = 6.0
"""Epochs of a later model from which the seconds are worth more in one after it. A first model of
more epochs is followed by models of as many."""

MAX_EPOCHS = 10.0
"""Epochs of the last model, if the time reaches."""

MIN_LENGTH = 0.6
"""Epochs of the second model, over those of the first, for it to be made: with fewer the rate falls
before the network has learned what the first one has."""

MIN_PREFERRED_FRACTION = 5 / 6
"""Of the preferred epochs, that a model after the second must have for it to be made. The seconds
of a shorter one bring more in the model before it."""

TEACHER_COST = 0.4
"""Seconds of one teacher's predictions, as a fraction of a training without them: its forward
passes, where a step makes one forward and one backward pass (docs/recipe.md)."""

ROUND_SECONDS = 8.0
"""From a plan, or a training before it, to the first step of a training: the network is made,
checked and timed, and its teachers are loaded."""

TEACHER_LOSS = (1.0, 0.976, 0.971)
"""Bits per byte of a model with so many teachers, over those of a model without. The medians of
four texts (benchmarks/results/recipe/{teachers,generations}.jsonl)."""

EPOCH_LOSS = ((3.0, 1.0), (5.0, 0.987), (10.0, 0.981))
"""Bits per byte of a model with teachers after so many epochs, over those after three. The means of
two novels of 200 kB (benchmarks/results/recipe/generations.jsonl)."""


MAX_PLANNED_MODELS = 3
"""Models of equal length that the time is divided by to find the best first one. A fourth has no
more teachers than the third."""

MIN_GAIN = 0.01
"""Fraction by which the last of several models must be expected to end lower than one model that
takes all the time: two runs of one plan stray as much."""


class FirstModel(NamedTuple):
    """What the training of the first model took, or is expected to take."""

    seconds: float
    num_epochs: float


class LaterModel(NamedTuple):
    """A model to be trained after others."""

    num_teachers: int
    length: float
    """Epochs, over those of the first model."""


def generation_seconds(base_seconds: float, num_teachers: int) -> float:
    """Estimate the seconds of a training with teachers, from those of one without."""
    return base_seconds * (1 + TEACHER_COST * num_teachers)


def plan_later_models(
    first: FirstModel, seconds: float, num_models: int = 1, max_models: int = MAX_MODELS
) -> list[LaterModel]:
    """Choose the models to train in `seconds`, one after the other; `num_models` are there already.

    The last one takes what is left of the time.
    """
    models: list[LaterModel] = []
    preferred = max(1.0, PREFERRED_EPOCHS / first.num_epochs)
    for number in range(num_models, max_models):
        num_teachers = min(number, MAX_TEACHERS)
        each = generation_seconds(first.seconds, num_teachers)
        length = min(preferred, (seconds - ROUND_SECONDS) / each)
        if length < (MIN_LENGTH if number == 1 else MIN_PREFERRED_FRACTION * preferred):
            break
        models.append(LaterModel(num_teachers, length))
        seconds -= length * each + ROUND_SECONDS
    if models:
        num_teachers, length = models[-1]
        length += seconds / generation_seconds(first.seconds, num_teachers)
        max_length = max(1.0, MAX_EPOCHS / first.num_epochs)
        models[-1] = LaterModel(num_teachers, min(max_length, length))
    return models


SINGLE_MODEL_KEYS = {"teachers", "num_processes"}
"""Keys of the user with which one model is trained, whatever the time."""


def choose_later_models(plan: TrainingPlan, fixed: Mapping[str, Any]) -> list[LaterModel]:
    """Choose the models to train after the planned one, where that leaves time; `fixed`: the keys
    that the user set."""
    if not plan.leaves_time or SINGLE_MODEL_KEYS & fixed.keys():
        return []
    return plan_later_models(first_model(plan), 60 * plan.minutes - plan.predicted.seconds)


def plan_first_model(
    plan_for: Callable[[float], TrainingPlan], minutes: float, fixed: Mapping[str, Any]
) -> TrainingPlan:
    """Return the plan by `plan_for` for all `minutes`, or for a part of them, so that later models
    follow, where the last of those is expected to end lower."""
    best = plan_for(minutes)
    lowest = (1 - MIN_GAIN) * estimate_final_loss(best, choose_later_models(best, fixed))
    for num_models in range(2, MAX_PLANNED_MODELS + 1):
        later = [generation_seconds(1.0, min(n, MAX_TEACHERS)) for n in range(1, num_models)]
        first_seconds = (60 * minutes - ROUND_SECONDS * len(later)) / (1 + sum(later))
        with suppress(UserError):  # too short for any training
            plan = msgspec.structs.replace(plan_for(first_seconds / 60), minutes=minutes)
            expected = estimate_final_loss(plan, choose_later_models(plan, fixed))
            if expected < lowest:
                best, lowest = plan, expected
    return best


def first_model(plan: TrainingPlan) -> FirstModel:
    """Return what the planned model is expected to take."""
    return FirstModel(plan.predicted.seconds, plan.predicted.num_epochs)


def estimate_final_loss(plan: TrainingPlan, later: list[LaterModel]) -> float:
    """Estimate the bits per byte of the last model: of `later`, or the planned one alone."""
    return plan.predicted.bits_per_byte * estimate_loss_ratio(first_model(plan), later)


def estimate_loss_ratio(first: FirstModel, later: list[LaterModel]) -> float:
    """Estimate the bits per byte of the last of `later` models, over those of the first model."""
    if not later:
        return 1.0
    num_teachers, length = later[-1]
    epochs, factors = zip(*EPOCH_LOSS, strict=True)
    before, after = np.interp([first.num_epochs, length * first.num_epochs], epochs, factors)
    return float(TEACHER_LOSS[num_teachers] * after / before)
