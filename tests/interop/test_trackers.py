"""Trackers get the metrics of a run, and none of them can stop one."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from descend.api.training import train_with_config
from descend.cli.main import run as run_command
from descend.config_sources import resolve_config
from descend.errors import ConfigError, MissingDependencyError
from descend.interop.trackers.metrics import MetricRow, MetricStream, TrackedRun
from descend.interop.trackers.track_run import STATE_FILE, check_trackers, track_run
from descend.loss_logs.read_log import read_log
from descend.runs.event_log import EventLog, read_events
from descend.runs.events import Epoch, Rollback, Step, TrainingStarted, TrainingStopped
from descend.runs.run_files import WEIGHTS


class ListTracker:
    """Keeps what it is given."""

    def __init__(self, run: TrackedRun) -> None:
        self.run, self.rows, self.reason = run, list[MetricRow](), ""

    def log(self, rows: list[MetricRow]) -> None:
        self.rows += rows

    def close(self, reason: str) -> None:
        self.reason = reason


class FailingTracker(ListTracker):
    """Raises on the first metrics, as a server that is gone."""

    def log(self, rows: list[MetricRow]) -> None:
        raise SystemExit("no route to host")


class HangingTracker(ListTracker):
    """Never comes back, as a server that does not answer."""

    release = threading.Event()

    def log(self, rows: list[MetricRow]) -> None:
        self.release.wait(600)


def step(number: int, loss: float = 2.0) -> Step:
    return Step(number, 1, loss, 0.5, 0.001, 1.0, False, 0.1)


def train_tracked(
    tiny: dict[str, Any], folder: Path, tracker: Any, close_seconds: float = 60.0
) -> None:
    """Train as `descend train --track` does, with a tracker of the test."""
    from descend.training.trainer import run_training
    from descend.training.training_run import create_run

    config = resolve_config(tiny | {"save_dir": str(folder)}).config
    training_run = create_run(config, folder)
    with track_run(folder, ["own"], {"own": tracker}, close_seconds):
        for _ in run_training(training_run):
            pass


def test_metric_stream_gives_each_step_once_unless_rolled_back() -> None:
    stream = MetricStream()
    rows = stream.rows([TrainingStarted(0, ""), *(step(n) for n in range(1, 5))])
    assert [row.step for row in rows] == [1, 2, 3, 4]
    assert rows[0].metrics["train/loss"] == 2.0
    again = stream.rows([TrainingStarted(2, ""), *(step(n) for n in range(3, 7))])
    assert [row.step for row in again] == [5, 6]
    undone = stream.rows([Rollback(3, 6, "", "skip", 1.0), step(4), step(5)])
    assert [row.step for row in undone] == [4, 5]
    epoch = Epoch(1, 5, 3, 2, 0.1, 0.2, 2.5, 0.3, 1.5, 100.0, 1.0)
    (row,) = stream.rows([epoch, TrainingStopped(5, "finished", "")])
    assert row.metrics["validation/loss"] == 2.5
    assert stream.stop_reason == "finished"


def test_tracker_gets_all_steps_of_a_run(tiny: dict[str, Any], tmp_path: Path) -> None:
    opened: list[ListTracker] = []

    def open_tracker(run: TrackedRun) -> ListTracker:
        opened.append(ListTracker(run))
        return opened[-1]

    train_tracked(tiny, tmp_path / "run", open_tracker)
    (tracker,) = opened
    steps = {e.step: e.loss for e in read_events(tmp_path / "run") if isinstance(e, Step)}
    logged = {r.step: r.metrics["train/loss"] for r in tracker.rows if "train/loss" in r.metrics}
    assert logged == steps
    assert sum("validation/loss" in row.metrics for row in tracker.rows) == 2
    assert tracker.reason == "finished"
    assert tracker.run.config["embed_dim"] == 16


@pytest.mark.parametrize("kind", [FailingTracker, HangingTracker])
def test_training_ends_the_same_when_a_tracker_fails(
    kind: Any, tiny: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture,
    trained: Path,
) -> None:  # fmt: skip
    folder = tmp_path / "run"
    HangingTracker.release.clear()
    began = time.monotonic()
    train_tracked(tiny, folder, kind, close_seconds=1.0)
    HangingTracker.release.set()
    assert time.monotonic() - began < 500
    assert (folder / WEIGHTS).read_bytes() == (trained / WEIGHTS).read_bytes()
    (warning,) = [r.getMessage() for r in caplog.records if "tracker" in r.getMessage()]
    reason = "SystemExit: no route to host" if kind is FailingTracker else "did not end within 1 s"
    assert reason in warning
    assert "The run is not affected" in warning


def test_resumed_run_sends_only_new_metrics(tmp_path: Path, trained: Path) -> None:
    (tmp_path / "run.json").write_bytes((trained / "run.json").read_bytes())
    opened: list[ListTracker] = []

    def open_tracker(run: TrackedRun) -> ListTracker:
        opened.append(ListTracker(run))
        return opened[-1]

    for first in (1, 4):
        with track_run(tmp_path, ["own"], {"own": open_tracker}):
            log = EventLog(tmp_path)
            log.append(TrainingStarted(first - 1, "2026-01-01T00:00:00+00:00"))
            for number in range(first, first + 5):
                log.append(step(number))
            log.append(TrainingStopped(first + 4, "interrupted", "2026-01-01T00:00:00+00:00"))
            log.close()
    assert [[row.step for row in tracker.rows] for tracker in opened] == [
        [1, 2, 3, 4, 5],
        [6, 7, 8],
    ]
    assert opened[0].run.run_id == opened[1].run.run_id
    assert json.loads((tmp_path / STATE_FILE).read_text())["events"]["own"] in (13, 14)


def test_tracker_prints_nothing_on_standard_output(
    tiny: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Chatty(ListTracker):
        def log(self, rows: list[MetricRow]) -> None:
            print("see https://tracker.example")

    train_tracked(tiny, tmp_path / "run", Chatty)
    print("result")
    assert capsys.readouterr().out == "result\n"


def test_unknown_tracker_is_named() -> None:
    with pytest.raises(ConfigError, match="--track: expected tensorboard or wandb"):
        check_trackers(["tensorbord"])


def test_missing_tracker_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match="Run `pip install wandb`"):
        check_trackers(["wandb"])


def test_track_flag_reaches_training(
    tiny_file: Path, text_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["train", str(text_file), "--config", str(tiny_file), "--track", "nowhere"]
    assert run_command(line) == 2
    assert "--track: expected tensorboard" in capsys.readouterr().err


def track_with_package(name: str, tiny: dict[str, Any], folder: Path) -> list[Step]:
    """Train with `--track NAME` in a process of its own, as the packages keep global state."""
    pytest.importorskip(name, reason=f"{name} is not installed")
    flags = [f"--{key.replace('_', '-')}={v}" for key, v in tiny.items() if key != "corpus_dir"]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "descend", "train", str(tiny["corpus_dir"]),
         "--save-dir", str(folder), "--track", name, "--json", *flags],
        capture_output=True, text=True, check=False,
        env=os.environ | {"TRACKIO_DIR": str(folder.parent / "trackio"), "WANDB_MODE": "offline"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["finished"]
    assert "the tracker" not in done.stderr
    return [e for e in read_events(folder) if isinstance(e, Step)]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # the trackers' own warnings
def test_tensorboard_reads_the_curve(tiny: dict[str, Any], own_folder: Path) -> None:
    steps = track_with_package("tensorboard", tiny, own_folder / "run")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(own_folder / "run" / "tensorboard"))
    read.Reload()
    scalars = read.Scalars("train/loss")
    assert [s.step for s in scalars] == [s.step for s in steps]
    assert [s.value for s in scalars] == pytest.approx([s.loss for s in steps], rel=1e-6)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # the trackers' own warnings
def test_mlflow_reads_the_curve(tiny: dict[str, Any], own_folder: Path) -> None:
    steps = track_with_package("mlflow", tiny, own_folder / "run")
    from mlflow.tracking import MlflowClient

    client = MlflowClient()
    experiment = client.get_experiment_by_name("descend")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["embed_dim"] == "16"
    history = client.get_metric_history(run.info.run_id, "train/loss")
    assert {m.step: m.value for m in history} == {s.step: s.loss for s in steps}
    log = read_log(Path("mlflow.db"))
    assert {e.position: e.train_loss for e in log.entries} == {s.step: s.loss for s in steps}


def wandb_records(content: bytes) -> Iterator[bytes]:
    """The records of an offline run: those of a log of LevelDB behind a header of 7 bytes.

    Blocks have 32 KiB. A part of a record has a checksum, a length, and a kind: 1 all of it, 2 its
    beginning, 3 its middle, 4 its end.
    """
    position, record = 7, b""
    while position < len(content):
        left = 2**15 - position % 2**15
        if left < 7:
            position += left
            continue
        _, length, kind = struct.unpack("<IHB", content[position : position + 7])
        record += content[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):
            yield record
            record = b""


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # the trackers' own warnings
def test_wandb_writes_an_offline_run(tiny: dict[str, Any], own_folder: Path) -> None:
    steps = track_with_package("wandb", tiny, own_folder / "run")
    from wandb.proto.wandb_internal_pb2 import Record

    (file,) = own_folder.glob("wandb/offline-run-*/*.wandb")
    losses = []
    for content in wandb_records(file.read_bytes()):
        record = Record()
        record.ParseFromString(content)
        items = {"/".join(i.nested_key) or i.key: i.value_json for i in record.history.item}
        if "train/loss" in items:
            losses.append(float(items["train/loss"]))
    assert losses == pytest.approx([s.loss for s in steps])


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # the trackers' own warnings
def test_trackio_stores_the_curve(
    tiny: dict[str, Any], own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sqlite3

    steps = track_with_package("trackio", tiny, own_folder / "run")
    (database,) = (own_folder / "trackio").glob("descend*.db")
    with sqlite3.connect(database) as connection:
        rows = connection.execute("select step, metrics from metrics").fetchall()
    losses = {n: json.loads(m)["train/loss"] for n, m in rows if "train/loss" in json.loads(m)}
    assert losses == pytest.approx({s.step: s.loss for s in steps})


def test_train_with_config_checks_trackers_first(tiny: dict[str, Any], own_folder: Path) -> None:
    resolved = resolve_config(tiny | {"save_dir": str(own_folder / "run")})
    with pytest.raises(ConfigError, match="--track"):
        train_with_config(resolved, track=["nowhere"])
    assert not (own_folder / "run").exists()
