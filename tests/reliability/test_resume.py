"""Interrupted and taken up again is the same as never interrupted, to the last bit."""

from __future__ import annotations

import hashlib
import itertools
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from descend.config import make_config
from descend.report.run_progress import show_progress
from descend.runs.checkpoint_folders import checkpoints, latest_checkpoint
from descend.runs.event_log import read_events
from descend.runs.events import (
    CheckpointSaved,
    Epoch,
    Event,
    Step,
    TrainingStarted,
    TrainingStopped,
    WeightUpdateStats,
)
from descend.runs.run_folder import read_summary
from descend.training.stop_signals import TrainingInterrupted
from descend.training.trainer import run_training
from descend.training.training_run import TrainingRun, create_run, resume_run

Tiny = dict[str, Any]


def make_run(tiny: Tiny, folder: str) -> TrainingRun:
    return create_run(make_config(tiny), Path(folder))


def finish(run: TrainingRun) -> str:
    """Carry `run` to its end; the hash of the model it leaves."""
    for _ in run_training(run):
        pass
    return model_hash(run.folder)


def model_hash(folder: Path) -> str:
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def interrupt(run: TrainingRun, at: Callable[[Event], bool]) -> int:
    """Press Ctrl-C while the record that `at` picks is out; the step it stopped after."""

    def press_once() -> None:
        pressed = False
        for record in run_training(run):
            if at(record) and not pressed:
                pressed = True
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(TrainingInterrupted) as stopped:
        press_once()
    assert stopped.value.exit_code == 130
    return stopped.value.step


def at_step(step: int) -> Callable[[Event], bool]:
    return lambda record: isinstance(record, Step) and record.step == step


def losses(folder: Path) -> list[tuple[int, float]]:
    return [(r.step, r.loss) for r in read_events(folder) if isinstance(r, Step)]


def list_events(folder: Path) -> list[tuple[object, ...]]:
    """All records but those of starts, ends and savings; without times."""
    events: list[tuple[object, ...]] = []
    for record in read_events(folder):
        if isinstance(record, Step):
            events.append(("step", record.step, record.loss, record.gradient_norm))
        elif isinstance(record, WeightUpdateStats):
            events.append(("matrices", record.step, tuple(record.weight_rms.values())))
        elif isinstance(record, Epoch):
            events.append(("epoch", record.epoch, record.loss_start, record.loss_end,
                         record.accuracy_end, record.validation_loss))  # fmt: skip
    return events


SETTINGS = [
    {
        "architecture": "gpt",
        "optimizer": "muon",
        "gradient_accumulation_steps": 2,
        "dropout_rate": 0.1,
    },
    {"architecture": "gpt", "optimizer": "adamw", "dropout_rate": 0.2, "schedule": "cosine"},
    {
        "architecture": "modern",
        "optimizer": "muon",
        "precision": "bfloat16",
        "activation_checkpointing": True,
        "dropout_rate": 0.1,
    },
    {"architecture": "gpt", "optimizer": "adamw", "precision": "float16"},
]
LONG_SETTINGS = [
    {"architecture": "modern", "optimizer": "muon", "dropout_rate": 0.2},
    {"architecture": "modern", "optimizer": "adamw", "gradient_accumulation_steps": 2},
]
"""Two more pairings of what `SETTINGS` has already."""


@pytest.mark.parametrize(
    "settings",
    [*SETTINGS, *(pytest.param(one, marks=pytest.mark.slow) for one in LONG_SETTINGS)],
    ids=lambda s: "-".join(map(str, s.values())),
)
def test_resumed_equals_uninterrupted_to_the_last_bit(tiny: Tiny, settings: Tiny) -> None:
    tiny |= {"batch_size": 8, "threads": 1} | settings  # beside busy programs they are chosen anew
    whole = make_run(tiny, "whole")
    end = whole.plan.batches.steps(1)
    expected = finish(whole)

    parts = make_run(tiny, "parts")
    assert parts.plan.execution == whole.plan.execution
    # In the first step, at a matrices record, at the end of an epoch, and inside the second.
    stops = [1, 25 if end > 26 else 5, end, end + 3]
    for stop in stops:
        assert interrupt(parts, at_step(stop)) == stop
        assert latest_checkpoint(Path("parts")) == Path(f"parts/checkpoints/step_{stop}")
        parts = resume_run(Path("parts"))
        assert parts.state.step == stop
    assert finish(parts) == expected
    assert losses(Path("parts")) == losses(Path("whole"))
    assert list_events(Path("parts")) == list_events(Path("whole"))
    seconds = ("seconds", "tokens_per_second", "model_dir", "epochs")
    one, other = (
        {f: getattr(read_summary(Path(name)), f) for f in ("best_epoch", "validation_loss",
                                                           "samples", "parameters", "finished")}
        for name in ("whole", "parts")
    )  # fmt: skip
    assert one == other, seconds


def test_another_seed_is_not_equal(tiny: Tiny) -> None:
    tiny["epoch"] = 1
    assert finish(make_run(tiny, "one")) != finish(make_run(tiny | {"seed": 1}, "other"))


def test_resume_after_last_step_only_finishes_run(tiny: Tiny) -> None:
    tiny["epoch"] = 1
    whole = make_run(tiny, "whole")
    expected, last = finish(whole), whole.plan.total_steps
    parts = make_run(tiny, "parts")
    assert interrupt(parts, lambda r: isinstance(r, Epoch)) == last
    assert not (Path("parts") / "model.safetensors").exists()
    assert finish(resume_run(Path("parts"))) == expected


def test_stopped_while_it_writes_a_sample_or_saves(tiny: Tiny) -> None:
    expected = finish(make_run(tiny, "whole"))
    parts = make_run(tiny, "parts")
    interrupt(parts, lambda r: isinstance(r, CheckpointSaved))
    assert finish(resume_run(Path("parts"))) == expected


@pytest.mark.parametrize("tail", [b"", b'{"kind":"step","st', b"\0\0\0"])
def test_crashed_run_has_one_event_per_step(tiny: Tiny, tail: bytes) -> None:
    expected = finish(make_run(tiny, "whole"))
    parts = make_run(tiny, "parts")
    records = run_training(parts)
    for record in records:  # the first step is saved; then the power fails, some steps later
        if isinstance(record, Step) and record.step == 9:
            break
    saved = parts.folder / "checkpoints" / "step_1"
    if not saved.exists():
        saved = checkpoints(parts.folder)[-1][1]
    records.close()  # type: ignore[attr-defined]
    with (parts.folder / "events.jsonl").open("ab") as file:
        file.write(tail)
    again = resume_run(Path("parts"))
    assert again.state.step < 9
    assert finish(again) == expected
    steps = [step for step, _ in losses(Path("parts"))]
    assert steps == list(range(1, len(steps) + 1))
    assert list_events(Path("parts")) == list_events(Path("whole"))


def test_killed_run_resumes_from_latest_checkpoint(
    tiny: Tiny, tiny_file: Path, text_file: Path
) -> None:
    keys = ["--epoch", "3", "--dropout-rate", "0.1", "--batch-size", "2"]
    command = [sys.executable, "-m", "descend", "train", str(text_file), "--config",
               str(tiny_file), *keys]  # fmt: skip
    process = subprocess.Popen([*command, "--save-dir", "killed"], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)  # fmt: skip
    deadline = time.monotonic() + 240
    events = Path("killed/events.jsonl")
    while process.poll() is None and not (
        events.exists() and events.read_bytes().count(b'"kind":"step"') > 60
    ):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert not Path("killed/model.safetensors").exists(), "it was killed too late"
    again = resume_run(Path("killed"))
    assert again.state.step > 0
    resumed = finish(again)
    whole = tiny | {"epoch": 3, "dropout_rate": 0.1, "batch_size": 2}
    assert resumed == finish(make_run(whole, "whole"))
    assert losses(Path("killed")) == losses(Path("whole"))


def test_watching_does_not_change_the_weights(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shown on a terminal, or driven by the bare loop that nobody watches: the same weights."""
    import torch
    from rich.console import Console

    from descend.training.loop import train
    from descend.training.train_state import load_weights

    tiny["dropout_rate"] = 0.1
    watched, bare = make_run(tiny, "watched"), make_run(tiny, "bare")
    with open("terminal.txt", "w", encoding="utf-8") as file:
        console = Console(file=file, force_terminal=True)
        for _ in show_progress(run_training(watched), watched, console):
            pass
    for _ in train(bare.state, bare.plan):
        pass
    assert bare.state.best is not None
    load_weights(bare.state.model, bare.state.best.weights)
    pairs = zip(watched.state.model.parameters(), bare.state.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert Path("terminal.txt").stat().st_size > 1000


def test_recording_does_not_change_the_weights(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the watch over the matrices taken out of the loop: the same weights, bit for bit."""
    import torch

    from descend.training import loop

    class Blind:
        def before(self, model: torch.nn.Module) -> None:
            """Look at nothing."""

        def after(self, model: torch.nn.Module, step: int) -> None:
            """Record nothing."""

    recorded, bare = make_run(tiny, "recorded"), make_run(tiny, "bare")
    events = [r for step_events in loop.train(recorded.state, recorded.plan) for r in step_events]
    assert any(isinstance(r, WeightUpdateStats) for r in events)
    monkeypatch.setattr(loop, "WeightUpdateRecorder", Blind)
    events = [r for step_events in loop.train(bare.state, bare.plan) for r in step_events]
    assert not any(isinstance(r, WeightUpdateStats) for r in events)
    pairs = zip(recorded.state.model.parameters(), bare.state.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_a_finished_run_says_all_in_order(tiny: Tiny) -> None:
    run = make_run(tiny, "run")
    events = list(run_training(run))
    written = read_events(Path("run"))
    assert written == events
    assert isinstance(events[0], TrainingStarted)
    assert isinstance(events[-1], TrainingStopped)
    steps = [r.step for r in events if isinstance(r, Step)]
    assert steps == list(range(1, run.plan.total_steps + 1))
    assert all(a.step <= b.step for a, b in itertools.pairwise(events))
    assert [r.step for r in events if isinstance(r, WeightUpdateStats)] == list(
        range(1, run.plan.total_steps + 1, 25)
    )
