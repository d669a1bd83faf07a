"""A lesson in words: what to read before its experiment, and what was measured."""

from __future__ import annotations

from collections.abc import Sequence

from descend.handbook.lesson import Lesson
from descend.handbook.lesson_results import LessonResult


def lesson_list(lessons: Sequence[Lesson]) -> str:
    """Return the lessons, a line for each."""
    width = max(len(lesson.name) for lesson in lessons)
    lines = [
        f"  {lesson.number}  {lesson.name:{width}}  {lesson.title}: {lesson.summary}"
        for lesson in lessons
    ]
    return "\n".join(["Lessons:", *lines, "", "Begin with: descend learn model"])


def lesson_text(lesson: Lesson) -> str:
    """Return what to read before the experiment, with the numbered choices."""
    choices = [f"  {number}. {choice}" for number, choice in enumerate(lesson.choices, 1)]
    return "\n".join(
        [f"{lesson.number}. {lesson.title}", "", *lesson.idea, "", lesson.question, *choices, ""]
    )


def lesson_result_text(lesson: Lesson, result: LessonResult, prediction: int | None) -> str:
    """Return the measured answer beside the `prediction`, which counts from 1."""
    lines = [result.measured, f"Answer: {lesson.choices[result.answer]}."]
    if prediction is not None:
        verdict = "right" if prediction == result.answer + 1 else "not right this time"
        lines.append(f"Your prediction: {lesson.choices[prediction - 1]}. That was {verdict}.")
    pages = ", ".join(f"descend explain {page}" for page in lesson.pages)
    return "\n".join([*lines, "", lesson.explanation, f"More: {pages}"])
