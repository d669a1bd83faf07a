"""Two runs in one folder: the second one refuses, whenever it looked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from descend.config import make_config
from descend.errors import LockedError
from descend.training.job import new_job, resumed_job
from descend.training.work import work


def content(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_run_that_looked_before_another_began_does_not_overwrite_it(
    tiny: dict[str, Any], own_folder: Path
) -> None:
    tiny |= {"epoch": 1, "threads": 1}
    first, second = (new_job(make_config(tiny), Path("run")) for _ in range(2))
    for _ in work(first):
        pass
    before = content(Path("run"))
    assert "run/model.safetensors" in before
    with pytest.raises(LockedError, match="another process began"):
        next(work(second))
    assert content(Path("run")) == before


def test_a_run_is_not_resumed_twice_from_the_same_checkpoint(stopped: Any) -> None:
    stopped()
    first, second = resumed_job(Path("run")), resumed_job(Path("run"))
    for _ in work(first):
        pass
    before = content(Path("run"))
    with pytest.raises(LockedError, match="took up meanwhile"):
        next(work(second))
    assert content(Path("run")) == before
