"""The metrics of an event, by the names that trackers show."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

import msgspec

from descend.runs.events import (
    Epoch,
    Event,
    Rollback,
    Step,
    TrainingStopped,
    Validation,
    WatchedStep,
    WeightUpdateStats,
)


class MetricRow(NamedTuple):
    """Metrics after a step."""

    step: int
    metrics: dict[str, float]


class TrackedRun(msgspec.Struct, frozen=True):
    """What a tracker gets of a run at its start."""

    folder: str
    name: str
    run_id: str
    """Stays the same when the run is resumed."""
    config: dict[str, str | int | float | bool]
    """The resolved configuration, as flat values."""


class Tracker(Protocol):
    """One run in a tracker. Each method may block and may raise."""

    def log(self, rows: list[MetricRow]) -> None:
        """Add `rows`, in order of time."""

    def close(self, reason: str) -> None:
        """End the record with the `reason` of `TrainingStopped`."""


OpenTracker = Callable[[TrackedRun], Tracker]


class MetricStream:
    """Turns events into rows, each step once.

    A resumed run trains the steps after its checkpoint again, with the same result: those rows
    are left out. After a rollback the steps are new, and their rows come again.
    """

    def __init__(self) -> None:
        self._last_step = {"step": 0, "epoch": 0}
        self.stop_reason = "interrupted"
        """Of the last `TrainingStopped`."""

    def rows(self, events: Iterable[Event]) -> list[MetricRow]:
        """Return the rows of new `events`."""
        rows = []
        for event in events:
            if isinstance(event, Rollback):
                self._last_step = {key: min(s, event.step) for key, s in self._last_step.items()}
            if isinstance(event, TrainingStopped) and event.reason != "paused":
                self.stop_reason = event.reason
            metrics = metrics_of(event)
            if not metrics:
                continue
            kind = "epoch" if isinstance(event, Epoch | Validation) else "step"
            is_new = event.step > self._last_step[kind]
            if is_new and not isinstance(event, WeightUpdateStats):
                self._last_step[kind] = event.step
            if is_new or (
                isinstance(event, WeightUpdateStats) and event.step == self._last_step[kind]
            ):
                rows.append(MetricRow(event.step, metrics))
        return rows


def metrics_of(event: Event) -> dict[str, float]:
    """Return the numbers of `event`; none for an event that has none to show."""
    values: dict[str, float | None] = {}
    if isinstance(event, Step):
        values = {
            "train/loss": event.loss, "train/accuracy": event.accuracy,
            "train/learning_rate": event.learning_rate,
            "train/gradient_norm": event.gradient_norm, "train/step_seconds": event.seconds,
        }  # fmt: skip
    elif isinstance(event, WatchedStep):
        values = {
            "train/loss": event.loss, "train/learning_rate": event.learning_rate,
            "train/gradient_norm": event.gradient_norm, "train/step_seconds": event.seconds,
        }  # fmt: skip
    elif isinstance(event, WeightUpdateStats) and event.update_to_weight_ratio:
        ratio = statistics.median(event.update_to_weight_ratio.values())
        values = {"train/update_to_weight_ratio": ratio}
    elif isinstance(event, Epoch):
        values = {
            "validation/loss": event.validation_loss,
            "validation/accuracy": event.validation_accuracy,
            "validation/bits_per_byte": event.bits_per_byte, "epoch": event.epoch,
        }  # fmt: skip
    elif isinstance(event, Validation):
        values = {"validation/loss": event.validation_loss}
    return {name: float(value) for name, value in values.items() if value is not None}
