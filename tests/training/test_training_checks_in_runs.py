"""Real runs pass the checks of a training, whatever the text: new, continued, and resumed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

import descend
from descend.config import make_config
from descend.errors import SelfCheckError
from descend.model import transformer
from descend.runs.events import Event
from descend.training import training_run
from descend.training.stop_signals import TrainingInterrupted
from descend.training.trainer import run_training
from descend.training.training_run import TrainingRun

from .training_checks import check_training

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
def test_run_meets_the_training_checks_when_text_or_settings_are_unusual(
    text: str, changes: dict[str, Any], own_folder: Path
) -> None:
    file = own_folder / "text.txt"
    file.write_text(text)
    config = make_config({**TINY, "corpus_dir": str(file), **changes})
    check_run(training_run.create_run(config, own_folder / "zero"))
    trained = descend.run({**TINY, "corpus_dir": str(file), "save_dir": "one", **changes})
    check_run(training_run.create_run(config, own_folder / "two", parent=trained.folder), True)


def test_run_meets_the_training_checks_when_it_is_resumed(
    tiny: dict[str, object], own_folder: Path
) -> None:
    folder = own_folder / "run"
    with pytest.raises(TrainingInterrupted):
        interrupt(run_training(training_run.create_run(make_config(tiny), folder)))
    resumed = training_run.resume_run(folder)
    assert resumed.state.step > 0
    check_run(resumed, True)


def test_new_and_resumed_runs_refuse_a_broken_attention_kernel(
    tiny: dict[str, object], own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = own_folder / "run"
    with pytest.raises(TrainingInterrupted):
        interrupt(run_training(training_run.create_run(make_config(tiny), folder)))

    def broken(q: Tensor, k: Tensor, v: Tensor, dropout_rate: float) -> Tensor:
        return 0 * v

    monkeypatch.setattr(transformer, "_fused_attention", broken)
    monkeypatch.setattr(transformer, "_matmul_attention", broken)
    with pytest.raises(SelfCheckError, match="attention"):
        training_run.create_run(make_config(tiny), own_folder / "other")
    with pytest.raises(SelfCheckError, match="attention"):
        training_run.resume_run(folder)


def check_run(run: TrainingRun, is_trained: bool = False) -> None:
    """`is_trained`: its weights are not as they were drawn."""
    weights = dict(run.state.model.named_parameters()) if is_trained else None
    check_training(run.state, run.plan, run.shape.vocab_size, weights)


def interrupt(records: Iterator[Event]) -> None:
    for number, _ in enumerate(records):
        if number == 5:
            os.kill(os.getpid(), signal.SIGINT)
