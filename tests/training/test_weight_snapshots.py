"""Snapshots while a run trains: at which steps, at what cost, and that they change nothing."""

from __future__ import annotations

import hashlib
import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

import descend.training.weight_snapshots as weight_snapshots
from descend import run
from descend.training.weight_snapshots import MAX_SNAPSHOTS, is_snapshot_step


def test_is_snapshot_step_doubles_and_ends() -> None:
    steps = [step for step in range(300_000) if is_snapshot_step(step)]
    assert steps == [0, *(8 * 2**n for n in range(15))]
    assert len(steps) == MAX_SNAPSHOTS


def weights_hash(folder: str) -> str:
    return hashlib.sha256((Path(folder) / "model.safetensors").read_bytes()).hexdigest()


def test_snapshots_change_no_bit_of_the_model(
    tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tiny | {"save_dir": "with", "threads": 1, "attention": "matmul", "compile": "off"})
    monkeypatch.setattr(weight_snapshots, "MAX_SNAPSHOT_BYTES", 0)
    run(tiny | {"save_dir": "without", "threads": 1, "attention": "matmul", "compile": "off"})
    assert len(list(Path("with/snapshots").iterdir())) == 5
    assert not Path("without/snapshots").exists()  # too large a network keeps none
    assert weights_hash("with") == weights_hash("without")


def test_snapshot_is_left_out_on_a_disk_that_is_nearly_full(
    tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9 - 10**5, 10**5))
    run(tiny | {"save_dir": "full"})
    assert not Path("full/snapshots").exists()
    assert Path("full/model.safetensors").exists()
