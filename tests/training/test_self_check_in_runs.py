"""Real runs begin with the preflight, and it refuses none of them, whatever the text."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import descend
from descend.config import make_config
from descend.runs.events import Event
from descend.training import training_run
from descend.training.self_check import run_self_check
from descend.training.stop_signals import TrainingInterrupted
from descend.training.train_plan import TrainPlan
from descend.training.train_state import TrainState
from descend.training.trainer import run_training

TINY = {"embed_dim": 8, "num_heads": 1, "num_layers": 1, "ff_dim": 8, "max_seq_len": 16,
        "device": "cpu", "max_steps": 2, "validation_fraction": 0.3}  # fmt: skip

ANIMALS = ("cat", "dog", "owl", "fox", "hen", "cow", "pig", "rat", "bee", "elk")
SENTENCES = "".join(f"The {animal} sleeps.\n" for animal in ANIMALS)


@pytest.mark.parametrize(("text", "changes"), [
    (SENTENCES, {"max_seq_len": 128}),
    (SENTENCES, {"batch_size": 1, "seq_len": 2, "tokenizer": "char"}),
    (SENTENCES, {"batch_size": 64, "seq_len": 8, "architecture": "gpt", "tokenizer": "byte"}),
    ("a" * 400, {"tokenizer": "char", "seq_len": 4}),
    ("a" * 400, {"tokenizer": "byte", "batch_size": 1, "seq_len": 8, "architecture": "gpt"}),
    ("ab" * 300, {"tokenizer": "char", "seq_len": 2, "max_seq_len": 2, "architecture": "gpt",
                  "embed_dim": 9, "num_heads": 3}),
    ("The same again.\n" * 60, {"seq_len": 4, "batch_size": 3, "gradient_accumulation_steps": 3}),
    ("The same again.\n" * 60, {"learning_rate": {1: 1e-9, 7: 1e-3}, "schedule": "piecewise",
                                "seq_len": 4, "warmup_steps": 50}),
    (SENTENCES, {"max_steps": 30, "seq_len": 4, "learning_rate": 10.0, "schedule": "cosine",
                 "weight_decay": 10.0, "gradient_clip": 1e-9, "label_smoothing": 0.99}),
])  # fmt: skip
def test_no_text_and_no_settings_are_refused(
    text: str, changes: dict[str, Any], own_folder: Path
) -> None:
    file = own_folder / "text.txt"
    file.write_text(text)
    trained = descend.run({**TINY, "corpus_dir": str(file), "save_dir": "one", **changes})
    descend.run_on_model(trained.folder, save_dir="two")


def test_every_beginning_is_looked_at(
    tiny: dict[str, object], own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[int, bool]] = []

    def noting(state: TrainState, plan: TrainPlan, size: int, loaded: object) -> None:
        calls.append((state.step, loaded is None))
        run_self_check(state, plan, size, loaded)  # type: ignore[arg-type]

    monkeypatch.setattr(training_run, "run_self_check", noting)
    folder = own_folder / "run"
    ready = training_run.create_run(make_config(tiny), folder)
    assert calls == [(0, True)]
    with pytest.raises(TrainingInterrupted):
        interrupt(run_training(ready))
    assert training_run.resume_run(folder).state.step == calls[-1][0] > 0
    assert calls[-1][1] is False


def interrupt(records: Iterator[Event]) -> None:
    for number, _ in enumerate(records):
        if number == 5:
            os.kill(os.getpid(), signal.SIGINT)
