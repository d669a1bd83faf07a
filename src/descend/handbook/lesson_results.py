"""What the experiment of a lesson measured, and which of its choices that makes right."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from descend.handbook.lesson import Lesson, Measure
from descend.units import format_duration

SCHEMA = 1

MEASURE_TITLES: dict[Measure, str] = {
    "first_loss": "first loss",
    "validation_loss": "loss on unseen text",
    "accuracy": "tokens guessed right",
    "bits_per_byte": "bits per byte",
    "rise": "rise above the lowest loss on unseen text",
}


class LessonArmResult(msgspec.Struct, frozen=True, kw_only=True):
    """A model of an experiment once it is trained. Losses in nats per token."""

    label: str
    run: str
    """Its run folder."""
    steps: int
    seconds: float
    parameters: int
    first_loss: float
    """Of the first batch, before the first step."""
    validation_loss: float
    accuracy: float
    """Fraction of validation tokens guessed right."""
    bits_per_byte: float
    rise: float
    """Validation loss after the last epoch above the lowest one."""


class LessonResult(msgspec.Struct, frozen=True, kw_only=True):
    """`learn LESSON --json`, and lesson.json."""

    lesson: str
    text: str
    arms: list[LessonArmResult]
    answer: int
    """Position of the right choice, from 0."""
    measured: str
    """The measured numbers, as a sentence."""
    seconds: float
    schema: int = SCHEMA


def choose_answer(lesson: Lesson, arms: Sequence[LessonArmResult]) -> int:
    """Return the position of the choice that the measured numbers make right."""
    rule = lesson.answer
    values = [float(getattr(arm, rule.measure)) for arm in arms]
    if rule.kind == "range":
        return sum(bound <= values[0] for bound in rule.bounds)
    compared = values[rule.first :]
    lowest, second = sorted(compared)[:2]
    if second - lowest < rule.margin:
        return len(compared)
    return compared.index(lowest)


def describe_measurement(lesson: Lesson, arms: Sequence[LessonArmResult]) -> str:
    """Return what was measured, as a sentence."""
    measure = lesson.answer.measure
    title = MEASURE_TITLES[measure].capitalize()
    if lesson.answer.kind == "range":
        arm = arms[0]
        return (
            f"{title}: {_format(measure, arm)} (after {arm.steps:,} steps, "
            f"{format_duration(arm.seconds)})."
        )
    return f"{title}: " + ", ".join(f"{_format(measure, a)} ({a.label})" for a in arms) + "."


def _format(measure: Measure, arm: LessonArmResult) -> str:
    value = float(getattr(arm, measure))
    return f"{value:.0%}" if measure == "accuracy" else f"{value:.2f}"
