"""What is advised where several processes together need more memory than a machine has."""

from __future__ import annotations

import re

import pytest

from descend.config import RunConfig, make_config
from descend.model.cost import training_memory
from descend.model.shape import shape_from_run_config
from descend.training.memory import memory_reduction_advice

PROCESSES = 4


def config_of(values: dict[str, object]) -> RunConfig:
    """A configuration of several processes on this machine."""
    return make_config({"num_processes": PROCESSES, "batch_size": 64} | values)


@pytest.mark.parametrize("share", [0.9, 0.6])
def test_advice_counts_all_processes_of_the_machine(share: float) -> None:
    config = config_of({"seq_len": 256, "max_seq_len": 256})
    shape = shape_from_run_config(config, 512)
    available = int(share * PROCESSES * training_memory(config, shape))
    advice = memory_reduction_advice(config, shape, available)
    assert advice.startswith("set gradient_accumulation_steps to ")
    parts = int(advice.split()[3])
    lighter = config.model_copy(update={"gradient_accumulation_steps": parts})
    assert PROCESSES * training_memory(lighter, shape) <= available


def test_fewer_processes_are_advised_where_weights_do_not_fit_in_each() -> None:
    config = config_of({"embed_dim": 1024, "seq_len": 16, "gradient_accumulation_steps": 16})
    shape = shape_from_run_config(config, 4096)
    available = int(2.5 * training_memory(config, shape))
    assert memory_reduction_advice(config, shape, available) == (
        "start 2 of the processes on this machine: each holds all weights"
    )


def test_smaller_model_is_advised_where_one_process_has_no_room() -> None:
    config = config_of({"embed_dim": 4096, "num_heads": 32, "num_layers": 24, "ff_dim": 16384})
    shape = shape_from_run_config(config, 4096)
    available = training_memory(config, shape) // 8
    advice = memory_reduction_advice(config, shape, available)
    assert "(each process holds all weights)" in advice
    width, layers, ff_dim, parts = map(int, re.findall(r"to (\d+)", advice))
    smaller = config.model_copy(update={
        "embed_dim": width, "num_layers": layers, "ff_dim": ff_dim,
        "gradient_accumulation_steps": parts,
    })  # fmt: skip
    assert parts <= config.batch_size // PROCESSES
    assert PROCESSES * training_memory(smaller, shape_from_run_config(smaller, 4096)) <= available
