"""A run that was interrupted leaves a model that can be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from descend.api import load
from descend.config import make_config
from descend.runs.checkpoint_folders import latest_checkpoint
from descend.runs.events import Epoch, Step
from descend.training.checkpoint import save_checkpoint
from descend.training.checkpoint_model import save_checkpoint_model
from descend.training.train_state import copy_weights
from descend.training.trainer import run_training
from descend.training.training_run import TrainingRun, create_run, resume_run

Tiny = dict[str, Any]


def interrupted_after(tiny: Tiny, kind: type) -> TrainingRun:
    """A run whose checkpoint is of the first record of `kind` but one."""
    run = create_run(make_config(tiny | {"epoch": 5}), Path("run"))
    records = run_training(run)
    count = 0
    for record in records:
        count += isinstance(record, kind)
        if count == 2:
            break
    records.close()  # type: ignore[attr-defined]
    save_checkpoint(Path("run"), run.state)
    return run


def test_model_has_the_weights_of_the_best_epoch(tiny: Tiny) -> None:
    run = interrupted_after(tiny, Epoch)
    seconds = save_checkpoint_model(Path("run"), Path("so_far"))
    assert seconds == run.state.elapsed_seconds
    assert run.state.best is not None
    weights = dict(load("so_far").network.named_parameters())
    for name, expected in run.state.best.weights.items():
        assert torch.allclose(weights[name], expected), name
    assert load("so_far").predict("the", 5, seed=1)
    assert resume_run(Path("run")).state.step == run.state.step  # and the run goes on as before


def test_model_before_the_first_epoch_has_the_last_weights(tiny: Tiny) -> None:
    run = interrupted_after(tiny, Step)
    assert run.state.best is None
    save_checkpoint_model(Path("run"), Path("so_far"))
    weights = dict(load("so_far").network.named_parameters())
    for name, expected in copy_weights(run.state.model).items():
        assert torch.allclose(weights[name], expected), name


def test_no_model_without_a_checkpoint(tiny: Tiny) -> None:
    create_run(make_config(tiny), Path("run"))
    assert latest_checkpoint(Path("run")) is None
    assert save_checkpoint_model(Path("run"), Path("so_far")) is None
    assert not Path("so_far").exists()
