"""The course: eight short lessons, each with a question and an experiment that answers it.

A lesson is a TOML file in `lessons/`. Its experiment trains tiny models that differ in one thing.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import msgspec

from descend.config_errors import closest_match
from descend.errors import ConfigError

Measure = Literal["first_loss", "validation_loss", "accuracy", "bits_per_byte", "rise"]

SETTINGS: dict[str, Any] = {
    "embed_dim": 32, "num_heads": 2, "num_layers": 2, "ff_dim": 128, "max_seq_len": 64,
    "seq_len": 32, "batch_size": 8, "vocab_size": 512, "max_steps": 150, "precision": "float32",
    "attention": "matmul", "compile": "off", "device": "cpu", "threads": 1,
}  # fmt: skip
"""Of every experiment, below the settings of its arms: a network that learns in seconds on one
core. What is fastest here is not looked for, since that would take longer than the training."""


class LessonArm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model of an experiment."""

    label: str
    settings: dict[str, Any] = {}
    max_bytes: int | None = None
    """Of the text that it may read; None: as much as the experiment."""


class AnswerRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which choice the measured numbers make right."""

    kind: Literal["range", "lowest"]
    """`range`: by the bounds between which `measure` of the first arm lies. `lowest`: the arm with
    the lowest `measure`, or the choice after those of the arms if two are within `margin`."""
    measure: Measure
    bounds: list[float] = []
    margin: float = 0.0
    first: int = 0
    """Arms before the one that the first choice stands for."""


class Lesson(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A lesson as data."""

    title: str
    summary: str
    """A few words for the list."""
    idea: list[str]
    """Paragraphs to read before."""
    question: str
    choices: list[str]
    explanation: str
    """To read once the answer is measured. It holds whichever choice that is."""
    pages: list[str]
    """Names of handbook pages that say more."""
    answer: AnswerRule
    arms: list[LessonArm]
    name: str = ""
    number: int = 0


def arm_settings(arm: LessonArm) -> dict[str, Any]:
    """Return all settings of `arm`; one with `epoch` ends by its epochs alone."""
    settings = SETTINGS | arm.settings
    if "epoch" in arm.settings:
        settings.pop("max_steps")
    return settings


@cache
def load_lessons() -> dict[str, Lesson]:
    """Return every lesson by name, in order."""
    folder = files("descend.handbook") / "lessons"
    lessons = {}
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if not file.name.endswith(".toml"):
            continue
        number, _, name = file.name.removesuffix(".toml").partition("_")
        lesson = msgspec.convert(tomllib.loads(file.read_text(encoding="utf-8")), Lesson)
        values = arm_settings(lesson.arms[0])
        question = lesson.question.format(
            vocab_size=values["vocab_size"], steps=values.get("max_steps", 0)
        )
        lessons[name] = msgspec.structs.replace(
            lesson, name=name, number=int(number), question=question
        )
    return lessons


def load_lesson(name: str) -> Lesson:
    """Return the lesson of that name or number; `ConfigError` if there is none."""
    lessons = load_lessons()
    name = next((x.name for x in lessons.values() if str(x.number) == name), name)
    if name not in lessons:
        guess = closest_match(name, list(lessons))
        raise ConfigError(
            "LESSON", name[:40], "one of " + ", ".join(lessons),
            f"did you mean {guess}" if guess else "choose one of those",
        )  # fmt: skip
    return lessons[name]
