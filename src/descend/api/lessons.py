"""The experiment of a lesson: tiny models trained one after another on an excerpt of a text."""

from __future__ import annotations

import json
import time
from pathlib import Path

import msgspec
from rich.console import Console

from descend.api.training import train_with_config
from descend.artifacts import LESSON
from descend.config_sources import resolve_config
from descend.data.corpus import read_documents, resolve_corpus
from descend.handbook.lesson import Lesson, LessonArm, arm_settings, load_lesson
from descend.handbook.lesson_results import (
    LessonArmResult,
    LessonResult,
    choose_answer,
    describe_measurement,
)
from descend.runs.atomic_write import make_folder, write_file_atomic
from descend.runs.event_log import read_events
from descend.runs.events import Step
from descend.runs.run_folder import read_summary

MAX_BYTES = 100_000
"""Of a text that an experiment reads: 150 steps of 256 tokens see about as much, and a tokenizer
is trained on it in a second."""

ARM_PREFIX = "arm_"


def run_lesson(
    name: str, text: str, save_dir: Path, *, console: Console | None = None
) -> LessonResult:
    """Train the models of the lesson `name` on the beginning of `text`, and answer its question.

    `save_dir` gets a run folder for each model, and lesson.json. Raises `ConfigError` for an
    unknown lesson, and `CorpusError` for a text that is missing or too short.
    """
    began = time.perf_counter()
    lesson = load_lesson(name)
    make_folder(save_dir)
    arms = []
    for position, arm in enumerate(lesson.arms):
        folder = save_dir / f"{ARM_PREFIX}{position + 1}"
        arms.append(_train_arm(lesson, arm, _write_excerpt(text, arm, save_dir), folder, console))
    result = LessonResult(
        lesson=name, text=text, arms=arms, answer=choose_answer(lesson, arms),
        measured=describe_measurement(lesson, arms),
        seconds=round(time.perf_counter() - began, 1),
    )  # fmt: skip
    write_file_atomic(save_dir / LESSON, msgspec.json.format(msgspec.json.encode(result)))
    return result


def _train_arm(
    lesson: Lesson, arm: LessonArm, excerpt: Path, folder: Path, console: Console | None
) -> LessonArmResult:
    keys = arm_settings(arm) | {"corpus_dir": str(excerpt), "save_dir": str(folder)}
    if console is not None:
        console.print(f"{lesson.title}: {arm.label}")
    train_with_config(resolve_config(keys), console)
    summary = read_summary(folder)
    first = next(event for event in read_events(folder) if isinstance(event, Step))
    steps = sum(isinstance(event, Step) for event in read_events(folder))
    losses = [epoch.validation_loss for epoch in summary.epochs]
    return LessonArmResult(
        label=arm.label, run=str(folder), steps=steps, seconds=round(summary.seconds, 1),
        parameters=summary.parameters, first_loss=first.loss,
        validation_loss=summary.validation_loss, accuracy=summary.validation_accuracy,
        bits_per_byte=summary.bits_per_byte, rise=losses[-1] - min(losses),
    )  # fmt: skip


def _write_excerpt(text: str, arm: LessonArm, folder: Path) -> Path:
    """Write the first documents of `text` into a file of `folder`, up to the bytes of `arm`."""
    max_bytes = arm.max_bytes or MAX_BYTES
    file = folder / f"text_{max_bytes}.jsonl"
    if file.exists():
        return file
    lines, left = [], max_bytes
    for document in read_documents(resolve_corpus(text)):
        content = document.text.encode()[:left].decode(errors="ignore")
        left -= len(content.encode())
        lines.append(json.dumps({"text": content}, ensure_ascii=False) + "\n")
        if left <= 0:
            break
    write_file_atomic(file, "".join(lines).encode())
    return file
