"""A run as it goes: its events so far, read once for all who watch."""

from __future__ import annotations

import threading
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from descend.report.text.run_summary import format_rollback, overfitting_line
from descend.runs.event_tail import EventTail
from descend.runs.events import (
    CheckpointSaved,
    Epoch,
    Event,
    Overfitting,
    Rollback,
    Sample,
    Step,
    TrainingStarted,
    TrainingStopped,
)
from descend.runs.run_length import announced_end_step
from descend.web.studio.curve import MAX_POINTS, Point, smooth, thin

MAX_LIVE_POINTS = 200
"""Points of one message to a watcher."""

RECENT_STEPS = 50
"""Steps over which the speed is averaged."""


class Cursor(msgspec.Struct):
    """How much of a feed a watcher has; another generation means: read it again."""

    generation: int = -1
    steps: int = 0
    epochs: int = 0
    samples: int = 0
    messages: int = 0


class RunFeed:
    """Events of the run in `folder`, without the steps that a resume or a rollback undid."""

    def __init__(self, folder: Path) -> None:
        self._tail = EventTail(folder)
        self._lock = threading.Lock()
        self.generation = 0
        self._clear()

    def _clear(self) -> None:
        self.points: list[Point] = []
        self.seconds: list[float] = []
        self.learning_rates: list[float] = []
        self.epochs: list[Epoch] = []
        self.samples: list[Sample] = []
        self.messages: list[tuple[int, str]] = []
        self.stopped: TrainingStopped | None = None
        self._paused_seconds = 0.0
        self.checkpoint_step = 0
        self.end_step: int | None = None
        """The last step, where the run has chosen it on its way."""
        self.has_started = False

    def poll(self) -> None:
        """Read what is new."""
        with self._lock:
            self._read()
            while self._tail.has_more:
                self._read()

    def _read(self) -> None:
        events = self._tail.read()
        if self._tail.restarted:
            self._clear()
            self.generation += 1
        for event in events:
            self._take(event)
            self.end_step = announced_end_step(event) or self.end_step

    def _take(self, event: Event) -> None:
        if isinstance(event, Step):
            before = self.points[-1][2] if self.points else None
            mean = smooth(before, event.loss, len(self.points))
            self.points.append((event.step, event.loss, mean, event.accuracy))
            self.seconds.append(event.seconds)
            self.learning_rates.append(event.learning_rate)
        elif isinstance(event, Epoch):
            self.epochs.append(event)
        elif isinstance(event, Sample):
            self.samples.append(event)
        elif isinstance(event, CheckpointSaved):
            self.checkpoint_step = event.step
        elif isinstance(event, TrainingStarted):
            self._drop_after(event.step)
            self._paused_seconds = self.paused_seconds(_seconds(event.time))
            self.stopped, self.has_started = None, True
        elif isinstance(event, TrainingStopped):
            self.stopped = event
        elif isinstance(event, Rollback):
            self._drop_after(event.step)
            self.messages.append((event.step, format_rollback(event)))
        elif isinstance(event, Overfitting):
            self.messages.append((event.step, overfitting_line(event)))

    def _drop_after(self, step: int) -> None:
        if not self.points or self.points[-1][0] <= step:
            return
        count = sum(point[0] <= step for point in self.points)
        del self.points[count:], self.seconds[count:], self.learning_rates[count:]
        self.epochs = [e for e in self.epochs if e.step <= step]
        self.samples = [s for s in self.samples if s.step <= step]
        self.generation += 1

    @property
    def step(self) -> int:
        """The last step."""
        return self.points[-1][0] if self.points else 0

    def paused_seconds(self, now: float) -> float:
        """Return seconds of all pauses until `now` (seconds since 1970)."""
        if self.stopped is None or self.stopped.reason != "paused":
            return self._paused_seconds
        return self._paused_seconds + max(0.0, now - _seconds(self.stopped.time))

    @property
    def seconds_per_step(self) -> float | None:
        """Seconds of a step, lately; None before the first."""
        recent = self.seconds[-RECENT_STEPS:]
        return sum(recent) / len(recent) if recent else None

    def seconds_left(self, total_steps: int) -> float | None:
        """Return seconds until `total_steps` at the latest speed; None before the first step."""
        each = self.seconds_per_step
        return None if each is None else max(0.0, (total_steps - self.step) * each)

    def curve(self, max_points: int = MAX_POINTS) -> dict[str, Any]:
        """Return the curve so far, thinned, with the epochs."""
        with self._lock:
            return {
                "points": thin(self.points, max_points),
                "epochs": [epoch_fields(epoch) for epoch in self.epochs],
                "num_steps": len(self.points),
                "generation": self.generation,
            }

    def news(self, cursor: Cursor) -> dict[str, Any]:
        """Return what came since `cursor`, which moves on; `reset` where the whole curve is sent
        anew."""
        with self._lock:
            return self._news(cursor)

    def _news(self, cursor: Cursor) -> dict[str, Any]:
        reset = cursor.generation != self.generation
        if reset:
            cursor.generation, cursor.steps = self.generation, 0
            cursor.epochs = cursor.samples = cursor.messages = 0
        limit = MAX_POINTS if reset else MAX_LIVE_POINTS
        news: dict[str, Any] = {
            "reset": reset,
            "points": thin(self.points[cursor.steps :], limit),
            "epochs": [epoch_fields(e) for e in self.epochs[cursor.epochs :]],
            "samples": [msgspec.to_builtins(s) for s in self.samples[cursor.samples :]],
            "messages": [
                {"step": step, "text": text} for step, text in self.messages[cursor.messages :]
            ],
        }
        cursor.steps, cursor.epochs = len(self.points), len(self.epochs)
        cursor.samples, cursor.messages = len(self.samples), len(self.messages)
        return news


class FeedCache:
    """Feeds of run folders, the latest `max_feeds` of them: each is read on where it stopped."""

    def __init__(self, max_feeds: int) -> None:
        self._max_feeds = max_feeds
        self._feeds: dict[Path, RunFeed] = {}

    def feed(self, folder: Path) -> RunFeed:
        """Return the events of the run in `folder` so far; none where no run is."""
        if folder not in self._feeds:
            while len(self._feeds) >= self._max_feeds:
                del self._feeds[next(iter(self._feeds))]
            self._feeds[folder] = RunFeed(folder)
        self._feeds[folder].poll()
        return self._feeds[folder]


def _seconds(time: str) -> float:
    """Return seconds since 1970 of the time of a record; 0 for one that is damaged."""
    try:
        return datetime.fromisoformat(time).timestamp()
    except ValueError:
        return 0.0


def epoch_fields(epoch: Epoch) -> dict[str, Any]:
    """Return what the page draws of an epoch."""
    return {
        "epoch": epoch.epoch, "step": epoch.step, "validation_loss": epoch.validation_loss,
        "accuracy": epoch.validation_accuracy, "bits_per_byte": epoch.bits_per_byte,
    }  # fmt: skip
