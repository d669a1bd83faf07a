"""How many models a time limit leaves room for, of which each learns from those before it
("born-again" networks, Furlanello et al. 2018)."""

from __future__ import annotations

MAX_TEACHERS = 2
"""The latest models that the next one learns from."""

MAX_MODELS = 3
"""Models of one training with a time limit."""

TEACHER_COST = 0.4
"""Seconds of one teacher's predictions, as a fraction of a training without them: its forward
passes, where a step makes one forward and one backward pass (docs/recipe.md)."""

ROUND_SECONDS = 8.0
"""From a plan, or a training before it, to the first step of a training: the network is made,
checked and timed, and its teachers are loaded."""

MIN_LAST_FRACTION = 0.6
"""Of the seconds that a training takes, that must be left for it to be made: with less the rate
falls before the network has learned what the one before it has."""

TAUGHT_LOSS = (1.0, 0.976, 0.971)
"""Bits per byte of a model with so many teachers, over those of a model without. The medians of
four texts (benchmarks/results/recipe/{teachers,generations}.jsonl)."""


def generation_seconds(base_seconds: float, num_teachers: int) -> float:
    """Estimate the seconds of a training with teachers, from those of one without."""
    return base_seconds * (1 + TEACHER_COST * num_teachers)


def count_models(base_seconds: float, seconds: float) -> int:
    """Return how many models can be trained one after the other in `seconds`, at least one.

    The first takes `base_seconds`; each later one learns from the latest `MAX_TEACHERS`.
    """
    number, left = 1, seconds - base_seconds
    while number < MAX_MODELS:
        left -= generation_seconds(base_seconds, min(number, MAX_TEACHERS)) + ROUND_SECONDS
        if left < 0:
            break
        number += 1
    return number
