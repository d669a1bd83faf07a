"""Processes that divide the weights (FSDP2) make the run of one process, and its files.

`ff_dim` is odd, so that the rows of some matrices cannot be divided evenly.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from descend.config import RunConfig, make_config
from descend.errors import ConfigError, OutOfMemoryError
from descend.metrics.evaluation import EvaluationPart, _select_own, iter_windows
from descend.model.cost import sharded_memory_breakdown, training_memory, training_memory_breakdown
from descend.model.shape import ModelShape, shape_from_run_config
from descend.runs.checkpoint_folders import latest_checkpoint
from descend.runs.event_log import read_events
from descend.runs.events import Step
from descend.runs.run_files import read_info
from descend.training import memory
from descend.training.execution.backends import choose_sharded_execution
from descend.training.memory import (
    FORCE_SHARDS,
    check_memory,
    choose_sharding,
    fit_micro_batches_to_memory,
    needed_main_memory,
)

from .group_children import run_children

MAX_LOSS_DIFFERENCE = 1e-3
"""Nats by which a step of the same run may differ, in float32."""
WAIT_SECONDS, STEPS = 500, 100


@pytest.fixture
def config_file(tiny: dict[str, Any], tmp_path: Path) -> Path:
    values = tiny | {
        "batch_size": 8, "max_steps": STEPS, "threads": 1, "compile": "off", "ff_dim": 33,
        "gradient_clip": 0.5,
    }  # fmt: skip
    del values["epoch"]
    file = tmp_path / "config.toml"
    file.write_text("".join(f"{key} = {value!r}\n" for key, value in values.items()))
    return file


def start(*arguments: object, is_sharded: bool) -> subprocess.Popen[str]:
    environment = os.environ | ({FORCE_SHARDS: "1"} if is_sharded else {})
    return subprocess.Popen(
        [sys.executable, "-m", "descend", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip


def descend(*arguments: object, is_sharded: bool = False) -> None:
    process = start(*arguments, is_sharded=is_sharded)
    _, error = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 0, error


def steps(folder: str) -> list[Step]:
    return [event for event in read_events(Path(folder)) if isinstance(event, Step)]


def assert_same_curve(folder: str, other: str) -> None:
    first, second = steps(folder), steps(other)
    assert len(first) == len(second) == STEPS
    losses = np.array([[s.loss for s in run] for run in (first, second)])
    norms = np.array([[s.gradient_norm for s in run] for run in (first, second)])
    assert np.abs(losses[0] - losses[1]).max() < MAX_LOSS_DIFFERENCE
    assert losses[0, 0] - losses[0, -1] > 1  # it learned
    assert np.allclose(norms[0], norms[1], rtol=0.05)
    assert sum(s.clipped for s in first) > 10


@pytest.mark.slow
@pytest.mark.timeout(900)  # three runs, each of which loads torch's compiler
@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_curves_agree_with_one_process_and_with_whole_weights(
    config_file: Path, optimizer: str
) -> None:
    common = ("train", "--config", config_file, "--optimizer", optimizer, "--save-dir")
    descend(*common, "alone")
    descend(*common, "whole", "--processes", 2)
    descend(*common, "divided", "--processes", 2, is_sharded=True)
    assert read_info(Path("divided")).execution["sharded"]
    assert not read_info(Path("whole")).execution["sharded"]
    assert_same_curve("alone", "whole")
    assert_same_curve("alone", "divided")
    alone, divided = (load_file(f"{name}/model.safetensors") for name in ("alone", "divided"))
    assert alone.keys() == divided.keys()
    for name, weight in alone.items():
        assert np.allclose(weight, divided[name], atol=0.02), name
    descend("generate", "divided", "the", "--max-new-tokens", 5)


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_stopped_run_resumes_with_and_without_shards(config_file: Path) -> None:
    common = ("train", "--config", config_file, "--max-steps", STEPS, "--save-dir")
    descend(*common, "alone")
    process = start(*common, "run", "--processes", 2, is_sharded=True)
    ends = time.monotonic() + WAIT_SECONDS
    while not Path("run").exists() or latest_checkpoint(Path("run")) is None:
        assert time.monotonic() < ends
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=WAIT_SECONDS)
    if process.returncode == 0:
        pytest.skip("this machine finished the run before it could be stopped")
    assert process.returncode == 130, error
    for name in ("one", "two", "shards"):
        shutil.copytree("run", name)
    descend("resume", "one", "--processes", 1)
    descend("resume", "two", "--processes", 2)
    descend("resume", "shards", "--processes", 2, is_sharded=True)
    for name in ("one", "two", "shards"):
        assert_same_curve("alone", name)


CODE = """
import sys
from pathlib import Path
import msgspec
import torch.distributed as dist
from safetensors.torch import save
from descend.config import make_config
from descend.training.checkpoint import encode_state
from descend.training.rendezvous import join_group
from descend.training.sharded_state import gather_model, shard_state
from descend.training.train_state import copy_weights
from descend.training.training_run import create_run
from tests.conftest import TINY
from tests.training.group_children import train_past_epoch

rank, count, folder, optimizer = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
text = {"corpus_dir": str(folder / "text.txt"), "threads": 1, "compile": "off", "ff_dim": 33}
run = create_run(make_config(TINY | text | {"optimizer": optimizer}), folder / f"run{rank}")
if rank == 0:
    train_past_epoch(run)
before = dict(encode_state(run.state))
execution = msgspec.structs.replace(run.plan.execution, processes=count)
with join_group(dist.FileStore(str(folder / "store"), count), rank, count, "cpu") as group:
    shard_state(run.state, run.plan.config, execution, group)
    own = sum(p.numel() for o in run.state.optimizers for g in o.param_groups for p in g["params"])
    print(own, sum(p.numel() for p in run.state.model.parameters()))
    files = dict(encode_state(run.state))
    if rank == 0:
        assert "good_model.safetensors" in files
        assert files == before
    else:
        assert not any(content for name, content in files.items() if not name.endswith(".json"))
    gather_model(run.state, run.plan.config)
    if rank == 0:
        assert save(copy_weights(run.state.model)) == before["model.safetensors"]
"""


@pytest.mark.slow
@pytest.mark.parametrize(("count", "optimizer"), [(2, "muon"), (3, "adamw")])
def test_checkpoint_of_divided_state_is_that_of_one_process(
    text_file: Path, tmp_path: Path, count: int, optimizer: str
) -> None:
    (tmp_path / "text.txt").write_bytes(text_file.read_bytes())
    printed = run_children(CODE, count, WAIT_SECONDS, count, tmp_path, optimizer)
    own, totals = zip(*([int(word) for word in output.split()] for output in printed), strict=True)
    (total,) = set(totals)
    assert sum(own) == total
    assert max(own) < 1.1 * total / count  # each weight has its rows in one process


def large_config(**values: Any) -> RunConfig:
    return make_config(
        {"num_processes": 4, "batch_size": 64, "embed_dim": 512, "num_heads": 8, "num_layers": 12,
         "ff_dim": 2048, "seq_len": 64} | values
    )  # fmt: skip


def large_shape(config: RunConfig) -> ModelShape:
    return shape_from_run_config(config, 4096)


def test_weights_are_divided_where_a_copy_for_each_process_has_no_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(FORCE_SHARDS, raising=False)
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    config = large_config()
    shape = large_shape(config)
    lightest = config.model_copy(update={"gradient_accumulation_steps": 16})
    whole = needed_main_memory(lightest, shape)
    divided = needed_main_memory(lightest, shape, is_sharded=True)
    assert divided < 0.5 * whole == 0.5 * 4 * training_memory(lightest, shape)
    monkeypatch.setattr(memory, "free_memory_bytes", lambda device: whole)
    assert not choose_sharding(config, shape, "cpu")
    monkeypatch.setattr(memory, "free_memory_bytes", lambda device: whole - 1)
    assert choose_sharding(config, shape, "cpu")
    assert not choose_sharding(large_config(num_processes=1), shape, "cpu")
    assert not choose_sharding(
        large_config(lora_rank=4, optimizer="adamw", compile="off"), shape, "cpu"
    )
    monkeypatch.setattr(memory, "free_memory_bytes", lambda device: divided)
    fitted = fit_micro_batches_to_memory(config, shape, "cpu", is_sharded=True)
    assert fitted.num_micro_batches > 1
    check_memory(fitted, shape, "cpu", is_sharded=True)
    monkeypatch.setattr(memory, "free_memory_bytes", lambda device: divided - 1)
    with pytest.raises(OutOfMemoryError, match="Use more machines"):
        check_memory(fitted, shape, "cpu", is_sharded=True)


def test_gpu_divides_weights_that_it_cannot_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FORCE_SHARDS, raising=False)
    config = large_config(gradient_accumulation_steps=16)
    shape = large_shape(config)
    on_gpu = training_memory_breakdown(config, shape).on_gpu
    assert sharded_memory_breakdown(config, shape).on_gpu < 0.6 * on_gpu
    monkeypatch.setattr(memory, "free_memory_bytes", lambda device: on_gpu)
    assert not choose_sharding(config, shape, "cuda")
    monkeypatch.setattr(memory, "free_memory_bytes", lambda device: on_gpu - 1)
    assert choose_sharding(config, shape, "cuda")


def test_memory_of_more_processes_is_less_for_each() -> None:
    parts = [
        sharded_memory_breakdown(large_config(num_processes=n), large_shape(large_config()))
        for n in (2, 4, 8)
    ]
    residents = [part.resident for part in parts]
    assert residents == sorted(residents, reverse=True)
    assert parts[0].optimizer == 2 * parts[1].optimizer


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"precision": "float16"}, "precision: expected float32 or bfloat16"),
        ({"compile": "on"}, "compile: expected auto or off"),
    ],
)
def test_what_divided_weights_cannot_do_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        choose_sharded_execution(large_config(**values), "cpu")


def test_divided_execution_is_neither_compiled_nor_recorded() -> None:
    execution = choose_sharded_execution(large_config(), "cpu")
    assert execution.sharded
    assert not execution.compiled
    assert not execution.cuda_graph


@pytest.mark.parametrize("num_tokens", [17, 500, 1000, 2065])
def test_parts_in_step_score_equally_many_batches(num_tokens: int) -> None:
    tokens = np.arange(num_tokens)
    own: list[list[bytes]] = []
    lengths = set()
    for index in range(3):
        part = EvaluationPart(index, 3, lambda totals: totals, is_in_step=True)
        batches, count = _select_own(iter_windows(tokens, 16, 4), part, 2**20)
        batches = list(batches)
        lengths.add(len(batches))
        own.append([batch.tobytes() for batch in batches[: int(count)]])
    assert len(lengths) == 1
    whole = [row.tobytes() for batch in iter_windows(tokens, 16, 4) for row in batch]
    assert sorted(b for part in own for b in part) == sorted(whole)
