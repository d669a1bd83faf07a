"""Follows a run with trackers, each in a thread of its own.

A thread reads events.jsonl, so a slow tracker fills no memory and never holds training up. What
fails is said once, and training goes on. tracking.json keeps how far each tracker came: a resumed
run goes on from there.
"""

from __future__ import annotations

import importlib.util
import logging
import secrets
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO, cast

import msgspec

from descend.errors import ConfigError, MissingDependencyError
from descend.guard import decode_json, read_regular
from descend.interop.trackers.metrics import (
    MetricStream,
    OpenTracker,
    TrackedRun,
    Tracker,
)
from descend.interop.trackers.mlflow_tracker import MlflowTracker
from descend.interop.trackers.tensorboard_tracker import TensorBoardTracker
from descend.interop.trackers.trackio_tracker import TrackioTracker
from descend.interop.trackers.wandb_tracker import WandbTracker
from descend.runs.atomic_write import write_file_atomic
from descend.runs.event_tail import EventTail
from descend.runs.run_files import read_info

TRACKERS: dict[str, OpenTracker] = {
    "tensorboard": TensorBoardTracker,
    "wandb": WandbTracker,
    "mlflow": MlflowTracker,
    "trackio": TrackioTracker,
}
"""By name, which is that of the package."""

STATE_FILE = "tracking.json"

POLL_SECONDS = 1.0
"""Between two looks at the events."""

CLOSE_SECONDS = 60.0
"""How long the end of a run waits for its trackers."""


class TrackingState(msgspec.Struct):
    """tracking.json."""

    run_id: str
    events: dict[str, int]
    """Events that each tracker was given."""


def check_trackers(names: Sequence[str]) -> None:
    """Raise `ConfigError` for an unknown tracker, `MissingDependencyError` for a missing one."""
    for name in names:
        if name not in TRACKERS:
            raise ConfigError("--track", name, " or ".join(TRACKERS), "choose one of them")
        if importlib.util.find_spec(name) is None:
            raise MissingDependencyError(
                "--track", f"no package `{name}`", f"the package `{name}`",
                f"run `pip install {name}`",
            )  # fmt: skip


@contextmanager
def track_run(
    folder: Path, names: Sequence[str], trackers: Mapping[str, OpenTracker] = TRACKERS,
    close_seconds: float = CLOSE_SECONDS,
) -> Iterator[None]:  # fmt: skip
    """Send the metrics of the run in `folder` to `trackers` while the body trains it.

    At the end the trackers have `close_seconds` to take the rest. Raises nothing itself.
    """
    if not names:
        yield
        return
    state = _StateFile(folder)
    threads = [_TrackerThread(folder, name, trackers[name], state) for name in dict.fromkeys(names)]
    standard_output = sys.stdout
    sys.stdout = cast(TextIO, _QuietThreads(standard_output, threads))
    try:
        for thread in threads:
            thread.start()
        yield
    finally:
        for thread in threads:
            thread.stop_request.set()
        until = time.monotonic() + close_seconds
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
            if thread.is_alive():
                _warn(thread.tracker, f"did not end within {close_seconds:.0f} s")
        sys.stdout = standard_output


class _TrackerThread(threading.Thread):
    def __init__(
        self, folder: Path, tracker: str, open_tracker: OpenTracker, state: _StateFile
    ) -> None:
        super().__init__(name=f"descend-track-{tracker}", daemon=True)
        self.tracker, self.stop_request = tracker, threading.Event()
        self._folder, self._open, self._state = folder, open_tracker, state

    def run(self) -> None:
        """Follow the events until the run has ended, or the tracker fails."""
        try:
            self._follow()
        except BaseException as problem:  # trackers also raise SystemExit
            reason = (str(problem).splitlines() or [""])[0][:200]
            _warn(self.tracker, f"failed ({type(problem).__name__}: {reason})")

    def _follow(self) -> None:
        tail, stream = EventTail(self._folder), MetricStream()
        previous, num_events = self._state.num_events(self.tracker), 0
        tracker: Tracker | None = None
        while True:
            is_last = self.stop_request.is_set()
            events = tail.read()
            known = min(len(events), max(0, previous - num_events))
            stream.rows(events[:known])  # what an earlier start of the run sent
            num_events += len(events)
            if rows := stream.rows(events[known:]):
                tracker = tracker or self._open(_describe(self._folder, self._state.run_id))
                tracker.log(rows)
                self._state.set_num_events(self.tracker, num_events)
            if is_last and not tail.has_more:
                break
            if not tail.has_more:
                self.stop_request.wait(POLL_SECONDS)
        if tracker is not None:
            tracker.close(stream.stop_reason)


class _StateFile:
    """tracking.json, written by one thread at a time; unreadable ones are begun anew."""

    def __init__(self, folder: Path) -> None:
        self._path, self._lock = folder / STATE_FILE, threading.Lock()
        self._state = TrackingState(secrets.token_hex(8), {})
        with suppress(OSError, msgspec.DecodeError):
            self._state = decode_json(read_regular(self._path), TrackingState)
        self.run_id = self._state.run_id

    def num_events(self, tracker: str) -> int:
        """Return how many events `tracker` was given."""
        return self._state.events.get(tracker, 0)

    def set_num_events(self, tracker: str, count: int) -> None:
        """Store how many events `tracker` was given."""
        with self._lock:
            self._state.events[tracker] = count
            write_file_atomic(self._path, msgspec.json.encode(self._state))


class _QuietThreads:
    """Standard output on which some threads write nothing: it is for the result of a command."""

    def __init__(self, stream: TextIO, threads: Sequence[threading.Thread]) -> None:
        self._stream, self._threads = stream, tuple(threads)

    def write(self, text: str) -> int:
        """Write `text`, unless a tracker does."""
        return (
            len(text) if threading.current_thread() in self._threads else self._stream.write(text)
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _describe(folder: Path, run_id: str) -> TrackedRun:
    info = read_info(folder)
    values = info.execution | info.resolved_config
    config = {key: v for key, v in values.items() if isinstance(v, str | int | float | bool)}
    return TrackedRun(str(folder), folder.resolve().name, run_id, config)


def _warn(tracker: str, problem: str) -> None:
    logging.getLogger("descend").warning(
        "the tracker %s %s. The run is not affected, and events.jsonl has all metrics.",
        tracker, problem,
    )  # fmt: skip
