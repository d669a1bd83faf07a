"""A loss that is not a number stops a run without rollback, says where, and spoils nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from descend.config import make_config
from descend.errors import DivergedError
from descend.runs.atomic_write import verify_folder
from descend.runs.checkpoint_folders import checkpoints, latest_checkpoint
from descend.runs.event_log import read_events
from descend.runs.events import Event, TrainingStopped
from descend.training.checkpoint import load_checkpoint
from descend.training.trainer import run_training
from descend.training.training_run import TrainingRun, create_run

Tiny = dict[str, Any]


def until_it_breaks(
    run: TrainingRun, spoil_at: int | None = None, where: str = ""
) -> DivergedError:
    def spoil(record: Event) -> None:
        if record.step == spoil_at:
            with torch.no_grad():
                dict(run.state.model.named_parameters())[where].fill_(float("inf"))

    try:
        for record in run_training(run):
            spoil(record)
    except DivergedError as error:
        return error
    raise AssertionError("it did not break")


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_excessive_learning_rate_reports_divergence_step(tiny: Tiny, optimizer: str) -> None:
    tiny |= {"learning_rate": 10.0, "gradient_clip": 0.0, "schedule": "constant", "epoch": 20,
             "warmup_steps": 0, "optimizer": optimizer, "architecture": "gpt",
             "precision": "float16", "divergence_rollback": "off"}  # fmt: skip
    error = until_it_breaks(create_run(make_config(tiny), Path("run")))
    assert error.exit_code == 1
    assert "step " in error.location or "epoch " in error.location
    assert "learning_rate" in error.fix
    last = read_events(Path("run"))[-1]
    assert isinstance(last, TrainingStopped)
    assert last.reason == "diverged"
    assert not Path("run/model.safetensors").exists()


@pytest.mark.parametrize("place", ["first", "last"])
def test_divergence_names_first_bad_parameter_and_preserves_checkpoints(
    tiny: Tiny, place: str
) -> None:
    tiny |= {"epoch": 1, "divergence_rollback": "off"}
    run = create_run(make_config(tiny), Path("run"))
    names = [name for name, p in run.state.model.named_parameters() if p.ndim == 2]
    name = names[0] if place == "first" else names[-1]
    # The state of a step is saved after its records are out: a weight is spoiled after step 4,
    # whose checkpoint, were it made, could hold it.
    error = until_it_breaks(run, spoil_at=4, where=name)
    assert error.location == "step 5 (epoch 1)"
    assert f"beginning in the weights of {name}" in error.actual
    assert "earlier checkpoints are unchanged" in error.fix
    assert checkpoints(Path("run"))
    assert all(verify_folder(path) for _, path in checkpoints(Path("run")))


def test_diverged_run_resumes_from_earlier_checkpoint(tiny: Tiny) -> None:
    tiny |= {"epoch": 1, "divergence_rollback": "off"}
    run = create_run(make_config(tiny), Path("run"))
    # The very first record: no step has been made, so nothing bad can have been saved.
    error = until_it_breaks(run, spoil_at=0, where=next(iter(run.state.model.state_dict())))
    assert error.location == "step 1 (epoch 1)"
    assert latest_checkpoint(Path("run")) is None
    assert not Path("run/model.safetensors").exists()

    good = create_run(make_config(tiny), Path("good"))
    names = dict(good.state.model.named_parameters())
    saved = []
    try:
        for record in run_training(good):
            if record.step == 6:
                saved.append(latest_checkpoint(Path("good")))
                next(iter(names.values())).data.fill_(float("nan"))
    except DivergedError:
        pass
    assert saved[0] is not None
    fresh = create_run(make_config(tiny), Path("fresh")).state
    checkpoint = latest_checkpoint(Path("good"))
    assert checkpoint is not None
    load_checkpoint(checkpoint, fresh)
    assert fresh.step <= 6
