"""Folders whose weights `transformers` split into several files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

import descend
from descend.errors import DescendError, RunFolderError
from descend.runs.model_files import load_model
from descend.runs.run_files import WEIGHT_INDEX
from descend.trials.trial_spec import TrialSpec

from ..model.llama_folders import TEXT, VARIANTS, write_folder


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sharded")
    write_folder(folder, VARIANTS["qwen3"], max_shard_size="30KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 2
    assert not (folder / "model.safetensors").exists()
    return folder


@pytest.fixture
def copy(sharded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sharded, tmp_path / "copy"))


def test_load_model_reads_shards(sharded: Path) -> None:
    ids = torch.randint(320, (2, 40), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        ours = load_model(sharded).model(ids)
        theirs = AutoModelForCausalLM.from_pretrained(sharded).float().eval()(ids).logits
    assert theirs.std() > 0.1
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def test_continue_trains_a_model_of_shards(sharded: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text(TEXT)
    run = tmp_path / "run"
    config = {"corpus_dir": str(text), "max_steps": 2, "batch_size": 4, "log_level": "error"}
    descend.run_on_model(sharded, config | {"save_dir": str(run)})
    assert (run / "model.safetensors").is_file()
    AutoModelForCausalLM.from_pretrained(run)


def key_of(folder: Path) -> str:
    config = descend.RunConfig(corpus_dir="python").model_dump(mode="json")
    return TrialSpec(config=config, parent=str(folder)).key


def test_trial_key_changes_when_a_shard_does(copy: Path) -> None:
    before = key_of(copy)
    assert key_of(copy) == before
    shard = min(copy.glob("model-*.safetensors"))
    save_file({k: v + 1 for k, v in load_file(shard).items()}, shard)
    assert key_of(copy) != before


def rewrite_index(folder: Path, file: str) -> None:
    path = folder / WEIGHT_INDEX
    index = json.loads(path.read_text())
    index["weight_map"]["model.norm.weight"] = file
    path.write_text(json.dumps(index))


@pytest.mark.parametrize("file", ["../other.safetensors", "/etc/passwd", "a\0.safetensors", "x"])
def test_load_model_refuses_an_index_that_leads_elsewhere(copy: Path, file: str) -> None:
    rewrite_index(copy, file)
    with pytest.raises(RunFolderError, match=r"names of \.safetensors files in its folder"):
        load_model(copy)


def test_load_model_names_a_missing_shard(copy: Path) -> None:
    shard = max(copy.glob("model-*.safetensors"))
    shard.unlink()
    with pytest.raises(RunFolderError, match=f"{shard.name}.*cannot be read"):
        load_model(copy)


def test_load_model_names_a_damaged_shard(copy: Path) -> None:
    shard = max(copy.glob("model-*.safetensors"))
    shard.write_bytes(shard.read_bytes()[:-7])
    with pytest.raises(RunFolderError, match=shard.name):
        load_model(copy)


def test_load_model_refuses_a_weight_in_two_shards(copy: Path) -> None:
    first, second, *_ = sorted(copy.glob("model-*.safetensors"))
    name, tensor = next(iter(load_file(first).items()))
    save_file(load_file(second) | {name: tensor}, second)
    with pytest.raises(RunFolderError, match=f"a second weight {name}"):
        load_model(copy)


def test_load_model_refuses_a_damaged_index(copy: Path) -> None:
    (copy / WEIGHT_INDEX).write_text('{"weight_map": 3}')
    with pytest.raises(DescendError, match=rf"{WEIGHT_INDEX}: expected the file of each weight"):
        load_model(copy)
