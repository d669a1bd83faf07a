"""The configuration of a run with the recommended change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from descend import run, run_on_model
from descend.diagnosis.recommended_config import make_changed_config


@pytest.fixture
def taught(trained: Path, tiny: dict[str, Any]) -> Path:
    """A run that learned from another one."""
    return run(tiny | {"teachers": str(trained), "epoch": 1, "save_dir": "taught"}).folder


@pytest.mark.parametrize(("changes", "has_teachers"), [
    ({"learning_rate": 0.002}, True), ({"vocab_size": 280}, False), ({"seq_len": 32}, False),
])  # fmt: skip
def test_change_that_teachers_do_not_fit_leaves_them_out(
    taught: Path, trained: Path, changes: dict[str, Any], has_teachers: bool
) -> None:
    config = make_changed_config(taught, changes)
    assert config.get("teachers") == (str(trained) if has_teachers else None)
    assert run(config | {"save_dir": "changed"}).summary.finished


def test_continued_run_does_not_learn_from_the_teachers_again(taught: Path) -> None:
    model = run_on_model(taught, {"epoch": 1, "save_dir": "longer"})
    assert not model.info.resolved_config["teachers"]
