"""A run folder opened for reading: once, lazily, and without a word of judgment."""

from __future__ import annotations

import json
import shutil
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from descend.errors import RunFolderError
from descend.runs.recorded_run import RecordedRun, open_recorded_run, open_run_with_epoch


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


def raw_events(folder: Path, kind: str) -> list[dict[str, object]]:
    lines = (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()
    return [event for line in lines if (event := json.loads(line))["kind"] == kind]


def test_recorded_run_holds_what_the_files_say(trained: Path) -> None:
    run = open_recorded_run(trained)
    metadata = json.loads((trained / "run.json").read_text(encoding="utf-8"))
    assert run.metadata.resolved_config == metadata["resolved_config"]
    assert run.config.embed_dim == metadata["resolved_config"]["embed_dim"]
    assert run.vocab_size == run.shape.vocab_size == metadata["corpus"]["vocab_size"]
    assert run.execution.precision == metadata["execution"]["precision"]
    steps = raw_events(trained, "step")
    assert [s.loss for s in run.steps] == [s["loss"] for s in steps]
    assert len(run.weight_updates) == len(raw_events(trained, "weight_updates"))
    losses = [e["validation_loss"] for e in raw_events(trained, "epoch")]
    assert [e.validation_loss for e in run.epochs] == losses
    assert run.best_epoch.validation_loss == min(losses)
    assert run.best_epoch.epoch == run.summary.best_epoch
    assert run.finished
    assert not run.diverged
    assert run.num_steps == run.total_steps == len(steps)
    seconds = statistics.median(s["seconds"] for s in steps)  # type: ignore[type-var]
    assert run.estimated_total_seconds == pytest.approx(seconds * len(steps))


def test_recorded_run_reads_each_file_once(copy: Path) -> None:
    run = open_run_with_epoch(copy)
    before = (run.summary, run.metadata, run.steps, run.finished, run.checkpoint)
    shutil.rmtree(copy)
    assert (run.summary, run.metadata, run.steps, run.finished, run.checkpoint) == before
    with pytest.raises(RunFolderError):
        _ = RecordedRun(copy).summary


def test_recorded_run_reads_no_file_before_it_is_needed(copy: Path) -> None:
    (copy / "summary.json").write_text("{", encoding="utf-8")
    run = open_recorded_run(copy)
    assert run.steps
    with pytest.raises(RunFolderError, match="damaged"):
        _ = run.summary


def test_total_steps_of_an_unfinished_run_follow_its_configuration(trained: Path) -> None:
    run = open_recorded_run(trained)
    first = run.with_parts(epochs=run.epochs[:1], finished=False)
    assert run.config.epoch is not None
    assert first.total_steps == pytest.approx(run.epochs[0].step * run.config.epoch, abs=1)
    assert first.with_parts(epochs=()).total_steps == run.num_steps


def test_with_parts_derives_from_the_parts_given(trained: Path) -> None:
    run = open_recorded_run(trained)
    _ = run.update_ratios, run.steps
    few = run.with_parts(events=run.events[:5])
    assert len(few.steps) < len(run.steps)
    assert few.metadata == run.metadata


@pytest.mark.parametrize("opened", [open_recorded_run, open_run_with_epoch])
def test_opening_a_folder_without_run_is_refused(
    opened: Callable[[Path], RecordedRun], tmp_path: Path
) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(RunFolderError):
            opened(folder)


def test_open_run_with_epoch_refuses_a_run_in_its_first_epoch(copy: Path) -> None:
    lines = (copy / "events.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (copy / "events.jsonl").write_text("".join(lines[:5]), encoding="utf-8")
    with pytest.raises(RunFolderError, match="not finished its first epoch"):
        open_run_with_epoch(copy)
    assert open_recorded_run(copy).epochs == ()


def test_reading_a_run_loads_no_torch(python: Callable[[str], str], trained: Path) -> None:
    code = (
        "from pathlib import Path; from descend.runs.recorded_run import open_run_with_epoch\n"
        f"run = open_run_with_epoch(Path({str(trained)!r}))\n"
        "run.summary, run.shape, run.execution\n"
        "import sys; print([m for m in ('torch', 'numpy') if m in sys.modules])"
    )
    assert python(code).strip() == "[]"


@pytest.fixture
def python() -> Callable[[str], str]:
    """What a program prints in a Python of its own."""
    import subprocess

    def call(code: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=240
        ).stdout

    return call
