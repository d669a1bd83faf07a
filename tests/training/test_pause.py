"""A run that is paused between two steps: it waits, and then ends as one that never waited."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from descend.config import make_config
from descend.runs.checkpoint_folders import latest_checkpoint
from descend.runs.event_log import read_events
from descend.runs.events import Event, Step, TrainingStarted, TrainingStopped
from descend.runs.pause_request import is_pause_requested, request_pause, withdraw_pause
from descend.runs.recorded_run import RecordedRun
from descend.runs.run_files import WEIGHTS
from descend.training.stop_signals import TrainingInterrupted
from descend.training.time_limit import make_time_limit
from descend.training.trainer import run_training
from descend.training.training_run import create_run

PLAIN = {"threads": 1, "attention": "matmul", "compile": "off", "precision": "float32"}
PAUSE_SECONDS = 1.0


def train(config: dict[str, Any], *, pause_after: int | None = None, **waiting: Any) -> list[Event]:
    """Events of a run in `save_dir` of `config`, which is paused after a step and then let go."""
    run = create_run(make_config(config | PLAIN), Path(config["save_dir"]))
    events = []
    for event in run_training(run):
        events.append(event)
        if isinstance(event, Step) and event.step == pause_after:
            request_pause(run.folder)
            wake = waiting.get("wake", withdraw_pause)
            threading.Timer(waiting.get("seconds", PAUSE_SECONDS), wake, [run.folder]).start()
    return events


def test_paused_run_ends_as_one_that_never_waited(tiny: dict[str, Any]) -> None:
    plain = train(tiny | {"save_dir": "plain"})
    paused = train(tiny | {"save_dir": "paused"}, pause_after=3)
    losses = [[e.loss for e in events if isinstance(e, Step)] for events in (plain, paused)]
    assert losses[0] == losses[1]
    assert Path("plain", WEIGHTS).read_bytes() == Path("paused", WEIGHTS).read_bytes()
    stop = next(e for e in paused if isinstance(e, TrainingStopped))
    again = paused[paused.index(stop) + 1]
    assert (stop.reason, stop.step) == ("paused", 3)
    assert isinstance(again, TrainingStarted)
    assert again.step == 3
    assert not is_pause_requested(Path("paused"))
    run = RecordedRun(Path("paused"))
    assert run.event_problems == ()
    assert run.stopped is not None
    assert run.stopped.reason == "finished"
    assert [e.step for e in run.steps] == [e.step for e in plain if isinstance(e, Step)]


def test_paused_run_is_saved_and_can_be_stopped(tiny: dict[str, Any]) -> None:
    def stop(_: Path) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(TrainingInterrupted):
        train(tiny | {"save_dir": "run"}, pause_after=3, wake=stop)
    checkpoint = latest_checkpoint(Path("run"))
    assert checkpoint is not None
    assert checkpoint.name == "step_3"
    stops = [e.reason for e in read_events(Path("run")) if isinstance(e, TrainingStopped)]
    assert stops == ["paused", "interrupted"]
    assert not is_pause_requested(Path("run"))


def test_clock_of_a_time_limit_stands_still_while_a_run_is_paused(tiny: dict[str, Any]) -> None:
    def behind() -> float:
        return time.perf_counter() - limit.clock()

    limit = make_time_limit(make_config(tiny | {"minutes": 1.0}), 100, 100, None)
    assert limit is not None
    before = behind()
    train(tiny | {"save_dir": "run"}, pause_after=3)
    assert behind() - before > 0.7 * PAUSE_SECONDS


def test_request_that_an_ended_process_left_is_forgotten(tiny: dict[str, Any]) -> None:
    run = create_run(make_config(tiny | PLAIN), Path("run"))
    Path("run").mkdir(exist_ok=True)
    request_pause(Path("run"))
    assert not [e for e in run_training(run) if getattr(e, "reason", "") == "paused"]
