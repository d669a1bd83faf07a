"""A small run on a cache of its own, stopped where a test wants it stopped."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from descend.config import make_config
from descend.runs.events import Event, Step
from descend.training.checkpoint import save_checkpoint
from descend.training.stop_signals import TrainingInterrupted
from descend.training.trainer import run_training
from descend.training.training_run import TrainingRun, create_run

Stop = Callable[..., TrainingRun]


@pytest.fixture
def fresh_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that nothing else fills."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("DESCEND_CACHE_DIR", str(cache))
    return cache


@pytest.fixture
def stopped(tiny: dict[str, Any]) -> Stop:
    """Makes a run in a folder, interrupted after `step`, with checkpoints of `steps` before."""

    def stop(
        folder: str = "run", step: int = 8, steps: tuple[int, ...] = (), **keys: Any
    ) -> TrainingRun:
        run = create_run(make_config(tiny | {"threads": 1} | keys), Path(folder))
        with pytest.raises(TrainingInterrupted):
            _interrupt(run, step, steps)
        return run

    return stop


def _interrupt(run: TrainingRun, step: int, steps: tuple[int, ...]) -> None:
    for record in run_training(run):
        if is_step(record, step):
            signal.raise_signal(signal.SIGINT)
        elif isinstance(record, Step) and record.step in steps:
            save_checkpoint(run.folder, run.state)


def is_step(record: Event, step: int) -> bool:
    return isinstance(record, Step) and record.step == step
