"""Two runs in one folder: the second one refuses, whenever it looked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from descend.config import make_config
from descend.errors import RunLockedError
from descend.training.trainer import run_training
from descend.training.training_run import create_run, resume_run


def content(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_run_that_looked_before_another_began_does_not_overwrite_it(
    tiny: dict[str, Any], own_folder: Path
) -> None:
    tiny |= {"epoch": 1, "threads": 1}
    first, second = (create_run(make_config(tiny), Path("run")) for _ in range(2))
    for _ in run_training(first):
        pass
    before = content(Path("run"))
    assert "run/model.safetensors" in before
    with pytest.raises(RunLockedError, match="another process began"):
        next(run_training(second))
    assert content(Path("run")) == before


def test_a_run_is_not_resumed_twice_from_the_same_checkpoint(stopped: Any) -> None:
    stopped()
    first, second = resume_run(Path("run")), resume_run(Path("run"))
    for _ in run_training(first):
        pass
    before = content(Path("run"))
    with pytest.raises(RunLockedError, match="took up meanwhile"):
        next(run_training(second))
    assert content(Path("run")) == before
