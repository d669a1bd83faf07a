"""The course in a workspace: experiments in their folders, and what was predicted and measured."""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from descend.artifacts import LESSON
from descend.errors import DescendError, RunFolderError
from descend.guard import decode_json, read_regular
from descend.handbook.lesson import Lesson, arm_settings, load_lesson, load_lessons
from descend.handbook.lesson_results import LessonResult
from descend.runs.atomic_write import PRIVATE, disk_error, make_folder, write_file_atomic
from descend.runs.record_version import check_version
from descend.web.studio.feed import FeedCache
from descend.web.studio.http_errors import NoSuchItemError
from descend.web.studio.jobs import Job, Jobs
from descend.web.studio.workspace import Workspace, check_name

PROGRESS_FILE = "progress.json"
CURVE_POINTS = 300
MAX_FEEDS = 12


class LessonProgress(msgspec.Struct, kw_only=True):
    """What one did in a lesson."""

    attempt: str
    """Name of the folder of the latest experiment."""
    text: str
    prediction: int
    is_done: bool = False
    """Whether any experiment of it was measured to its end."""


class LessonViews:
    """Lessons of a workspace. Raises `ConfigError` for an unknown lesson."""

    def __init__(self, workspace: Workspace, jobs: Jobs) -> None:
        self._workspace, self._jobs = workspace, jobs
        self._feeds = FeedCache(MAX_FEEDS)

    def overview(self) -> list[dict[str, Any]]:
        """Return each lesson with whether it is done, and whether the prediction was right."""
        progress = self._load()
        return [
            {
                "name": lesson.name, "number": lesson.number, "title": lesson.title,
                "summary": lesson.summary, **self._standing(lesson, progress.get(lesson.name)),
            }
            for lesson in load_lessons().values()
        ]  # fmt: skip

    def lesson(self, name: str) -> dict[str, Any]:
        """Return what to read and to choose in the lesson `name`, and the name of the next one."""
        lesson, names = load_lesson(name), list(load_lessons())
        fields: dict[str, Any] = msgspec.to_builtins(lesson)
        return {key: value for key, value in fields.items() if key not in ("answer", "arms")} | {
            "arms": [arm.label for arm in lesson.arms],
            "max_steps": arm_settings(lesson.arms[0]).get("max_steps"), "num_lessons": len(names),
            "next": names[lesson.number] if lesson.number < len(names) else None,
        }  # fmt: skip

    def start(self, name: str, text: str, corpus: str, prediction: int) -> None:
        """Put the experiment of the lesson `name` into the queue."""
        lesson = load_lesson(name)
        progress = self._load()
        known = progress.get(name)
        attempt = f"{name}-{time.time_ns() // 1_000_000}"
        folder = self._workspace.lessons / attempt
        job = Job(
            run=job_name(name), kind="lesson", text=text,
            arguments=["learn", lesson.name, "--text", corpus, "--save-dir", str(folder)],
        )  # fmt: skip
        is_done = known is not None and (known.is_done or self._result(known) is not None)
        self._jobs.add(job)
        progress[name] = LessonProgress(
            attempt=attempt, text=text, prediction=prediction, is_done=is_done
        )
        try:
            self._store(progress)
        except DescendError:
            with suppress(NoSuchItemError):  # it has ended already
                self._jobs.stop(job.run)
            raise
        if known is not None:
            shutil.rmtree(self._attempt_folder(known), ignore_errors=True)

    def _store(self, progress: dict[str, LessonProgress]) -> None:
        content = msgspec.json.format(msgspec.json.encode(progress))
        try:
            make_folder(self._workspace.lessons, PRIVATE)
        except OSError as problem:
            raise disk_error(self._workspace.lessons, problem) from None
        write_file_atomic(self._workspace.lessons / PROGRESS_FILE, content)

    def experiment(self, name: str) -> dict[str, Any]:
        """Return the latest experiment of the lesson `name`: its state, curves, and measured
        answer."""
        lesson = load_lesson(name)
        known = self._load().get(name)
        job = self._jobs.get(job_name(name))
        result = None if known is None else self._result(known)
        fields: dict[str, Any] = {
            "state": self._state(known, job, result), **self._standing(lesson, known),
            "text": None if known is None else known.text, "result": None,
            "log": self._jobs.log(job_name(name)),
            "arms": [] if known is None else self._arms(lesson, known),
        }  # fmt: skip
        if result is not None:
            fields["result"] = {
                "answer": result.answer, "measured": result.measured, "seconds": result.seconds,
                "arms": [
                    {key: value for key, value in msgspec.to_builtins(arm).items() if key != "run"}
                    for arm in result.arms
                ],
            }  # fmt: skip
        return fields

    def _standing(self, lesson: Lesson, known: LessonProgress | None) -> dict[str, Any]:
        result = None if known is None else self._result(known)
        is_done = result is not None or (known is not None and known.is_done)
        is_right = None
        if result is not None and known is not None:
            is_right = result.answer == known.prediction
        return {
            "is_done": is_done, "is_right": is_right,
            "prediction": None if known is None else known.prediction,
        }  # fmt: skip

    def _state(
        self, known: LessonProgress | None, job: Job | None, result: LessonResult | None
    ) -> str:
        if result is not None:
            return "finished"
        if known is None or job is None:
            return "new" if known is None else "failed"
        if job.ended_at is not None:
            return "failed"
        return "waiting" if job.began_at is None else "running"

    def _arms(self, lesson: Lesson, known: LessonProgress) -> list[dict[str, Any]]:
        folder = self._attempt_folder(known)
        arms = []
        for number, arm in enumerate(lesson.arms, 1):
            feed = self._feeds.feed(folder / f"arm_{number}")
            sample = feed.samples[-1] if feed.samples else None
            arms.append({
                "label": arm.label, **feed.curve(CURVE_POINTS),
                "sample": None if sample is None else msgspec.to_builtins(sample),
            })  # fmt: skip
        return arms

    def _attempt_folder(self, known: LessonProgress) -> Path:
        return self._workspace.lessons / check_name(known.attempt, "lesson")

    def _result(self, known: LessonProgress) -> LessonResult | None:
        try:
            file = self._attempt_folder(known) / LESSON
            content = read_regular(file)
            check_version(file, content, LessonResult)
            return decode_json(content, LessonResult)
        except (OSError, msgspec.DecodeError, RunFolderError):
            return None

    def _load(self) -> dict[str, LessonProgress]:
        try:
            content = read_regular(self._workspace.lessons / PROGRESS_FILE)
            return decode_json(content, dict[str, LessonProgress])
        except (OSError, msgspec.DecodeError):
            return {}


def job_name(lesson: str) -> str:
    """Return the name under which the experiment of `lesson` is a job; no run made here has a
    plus."""
    return f"lesson+{lesson}"
