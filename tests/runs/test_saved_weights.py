"""Weights of earlier steps: what a run keeps, and what is refused when it is read."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from descend import run
from descend.errors import RunFolderError
from descend.runs.model_files import load_model
from descend.runs.recorded_run import RecordedRun
from descend.runs.saved_weights import (
    list_saved_weights,
    load_saved_weights,
    remove_snapshots_after,
    save_snapshot,
)
from descend.training.weight_snapshots import MAX_SNAPSHOTS


@pytest.fixture
def copied(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "copied"))


def snapshot_steps(folder: Path) -> set[int]:
    return {int(path.name.removeprefix("step_")) for path in (folder / "snapshots").iterdir()}


def test_list_saved_weights_orders_them_by_step_and_ends_with_the_model(trained: Path) -> None:
    saved = list_saved_weights(trained)
    last = RecordedRun(trained).num_steps
    assert last == 82
    assert [s.id for s in saved][-2:] == [f"checkpoint-{last}", "model"]
    steps = [s.step for s in saved if s.kind != "model"]
    assert steps == sorted(set(steps))
    assert {0, 8, 16, 32, 64, last} <= set(steps)
    assert snapshot_steps(trained) == {0, 8, 16, 32, 64}
    assert all(s.bytes > 0 for s in saved)
    # As many as a run can have take less than the two checkpoints that it keeps.
    snapshot = next(s for s in saved if s.kind == "snapshot")
    checkpoints = [s.bytes for s in saved if s.kind == "checkpoint"]
    assert len(checkpoints) == 2
    assert MAX_SNAPSHOTS * snapshot.bytes < sum(checkpoints)


def test_load_saved_weights_gives_the_model_and_its_rounded_past(trained: Path) -> None:
    final = load_saved_weights(trained, "model").model
    expected = load_model(trained).model
    pairs = list(zip(final.parameters(), expected.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in pairs)
    first = load_saved_weights(trained, "snapshot-0")
    last = load_saved_weights(trained, "snapshot-64")
    assert not last.model.training
    assert last.tokenizer.vocab_size == last.model.shape.vocab_size
    change = (first.model.head.weight - last.model.head.weight).abs().max()
    assert change > 0.01
    checkpoint = load_saved_weights(trained, "checkpoint-82")
    ids = torch.arange(10)[None]
    assert torch.allclose(checkpoint.model(ids), expected(ids), atol=1e-4)


def test_snapshot_is_half_precision_of_the_weights(copied: Path) -> None:
    model = load_model(copied).model
    save_snapshot(copied, 7, dict(model.named_parameters()))
    again = load_saved_weights(copied, "snapshot-7").model
    for ours, theirs in zip(again.parameters(), model.parameters(), strict=True):
        assert torch.equal(ours, theirs.half().float())


def test_save_snapshot_writes_nothing_that_is_not_finite(copied: Path) -> None:
    model = load_model(copied).model
    with torch.no_grad():
        model.head.weight[0, 0] = 1e6  # finite, but not in float16
    save_snapshot(copied, 7, dict(model.named_parameters()))
    assert "snapshot-7" not in [s.id for s in list_saved_weights(copied)]


def test_remove_snapshots_after_keeps_the_earlier_ones(copied: Path) -> None:
    remove_snapshots_after(copied, 16)
    assert snapshot_steps(copied) == {0, 8, 16}


def test_list_saved_weights_leaves_out_steps_beyond_the_last(copied: Path) -> None:
    save_snapshot(copied, 1024, dict(load_model(copied).model.named_parameters()))
    assert "snapshot-1024" not in [s.id for s in list_saved_weights(copied)]


@pytest.mark.parametrize("name", ["model.safetensors", "manifest.json"])
def test_load_saved_weights_refuses_damage(copied: Path, name: str) -> None:
    file = copied / "snapshots" / "step_64" / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(RunFolderError, match="damaged"):
        load_saved_weights(copied, "snapshot-64")


def test_load_saved_weights_refuses_those_of_another_network(
    copied: Path, tiny: dict[str, Any]
) -> None:
    run(tiny | {"save_dir": "other", "embed_dim": 8})
    shutil.rmtree(copied / "snapshots" / "step_64")
    shutil.copytree("other/snapshots/step_64", copied / "snapshots" / "step_64")
    with pytest.raises(RunFolderError, match="another network"):
        load_saved_weights(copied, "snapshot-64")


def test_load_saved_weights_follows_no_link(copied: Path, tmp_path: Path) -> None:
    (copied / "snapshots").rename(tmp_path / "elsewhere")
    (copied / "snapshots").symlink_to(tmp_path / "elsewhere")
    assert [s for s in list_saved_weights(copied) if s.kind == "snapshot"] == []
    with pytest.raises(RunFolderError):
        load_saved_weights(copied, "snapshot-64")


@pytest.mark.parametrize("name", ["snapshot-9", "checkpoint-9", "snapshot-../..", "other", ""])
def test_load_saved_weights_refuses_names_that_are_none(trained: Path, name: str) -> None:
    with pytest.raises(RunFolderError, match="no weights named"):
        load_saved_weights(trained, name)
