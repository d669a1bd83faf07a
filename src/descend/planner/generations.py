"""Which models to train after a first one, where a small text leaves time: each learns from those
before it too ("born-again" networks, Furlanello et al. 2018)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

MAX_TEACHERS = 2
"""The latest models that the next one learns from."""

MAX_MODELS = 4
"""Models of one training with a time limit."""

MAX_LENGTH = 10 / 3
"""Epochs of a later model, over those of the first: with teachers it overfits later. See
`LENGTH_LOSS`."""

PREFERRED_LENGTH = 2.0
"""Epochs of a later model from which the seconds are worth more in one after it."""

MIN_LENGTH = 0.6
"""Epochs of the second model, over those of the first, for it to be made: with fewer the rate falls
before the network has learned what the first one has."""

MIN_LATER_LENGTH = 5 / 3
"""The same of the models after the second. By `LENGTH_LOSS` a shorter one gains less than the
second does with its seconds."""

TEACHER_COST = 0.4
"""Seconds of one teacher's predictions, as a fraction of a training without them: its forward
passes, where a step makes one forward and one backward pass (docs/recipe.md)."""

ROUND_SECONDS = 8.0
"""From a plan, or a training before it, to the first step of a training: the network is made,
checked and timed, and its teachers are loaded."""

TAUGHT_LOSS = (1.0, 0.976, 0.971)
"""Bits per byte of a model with so many teachers, over those of a model without. The medians of
four texts (benchmarks/results/recipe/{teachers,generations}.jsonl)."""

LENGTH_LOSS = ((1.0, 1.0), (5 / 3, 0.987), (10 / 3, 0.981))
"""What the length of a model with teachers does to its bits per byte: length, factor. The means of
two novels of 200 kB (benchmarks/results/recipe/generations.jsonl)."""


class LaterModel(NamedTuple):
    """A model to be trained after others."""

    num_teachers: int
    length: float
    """Epochs, over those of the first model."""


def generation_seconds(base_seconds: float, num_teachers: int) -> float:
    """Estimate the seconds of a training with teachers, from those of one without."""
    return base_seconds * (1 + TEACHER_COST * num_teachers)


def plan_later_models(
    base_seconds: float, seconds: float, num_models: int = 1, max_models: int = MAX_MODELS
) -> list[LaterModel]:
    """Choose the models to train in `seconds`, one after the other.

    `num_models` are there already; the first took `base_seconds`. The last one takes what is left.
    """
    models: list[LaterModel] = []
    for number in range(num_models, max_models):
        num_teachers = min(number, MAX_TEACHERS)
        each = generation_seconds(base_seconds, num_teachers)
        length = min(PREFERRED_LENGTH, (seconds - ROUND_SECONDS) / each)
        if length < (MIN_LENGTH if number == 1 else MIN_LATER_LENGTH):
            break
        models.append(LaterModel(num_teachers, length))
        seconds -= length * each + ROUND_SECONDS
    if models:
        num_teachers, length = models[-1]
        length += seconds / generation_seconds(base_seconds, num_teachers)
        models[-1] = LaterModel(num_teachers, min(MAX_LENGTH, length))
    return models


def taught_loss(later: list[LaterModel]) -> float:
    """Bits per byte expected of the last of `later` models, over those of the first model."""
    if not later:
        return 1.0
    num_teachers, length = later[-1]
    lengths, factors = zip(*LENGTH_LOSS, strict=True)
    return TAUGHT_LOSS[num_teachers] * float(np.interp(length, lengths, factors))
