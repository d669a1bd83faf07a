"""The executions available on this machine, less those that were ruled out by force."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from functools import cache
from typing import Literal

import msgspec
import torch

from descend.config import RunConfig
from descend.errors import ConfigError
from descend.machine import Execution, available_cores, cpu_instructions, cpu_name, resolve_device
from descend.training.loss import can_compile
from descend.training.num_processes import divide_threads
from descend.units import format_count

PROBE_SIZE = 256
"""Rows and columns of a matrix whose product takes well under a millisecond where it is quick."""

NUM_PILOT_RUNS = 10
"""Such products of each kind: the quickest counts, whatever else the cores do meanwhile."""

PRUNE_RATIO = 2.0
"""An execution whose first step takes this many times the best so far is not timed further."""

EXECUTION_KEYS = ("device", "precision", "attention", "compile", "threads", "num_processes")
"""Keys by which a part of the choice is taken from the engine."""


def forced_keys(config: RunConfig) -> list[str]:
    """Return those of `EXECUTION_KEYS` that `config` sets."""
    return [key for key in EXECUTION_KEYS if getattr(config, key) not in ("auto", None)]


def resolve_training_device(config: RunConfig) -> str:
    """Return the device to compute on; `ConfigError` for an execution that is requested and is not
    available."""
    device = resolve_device(config.device)
    if device == "mps" and config.precision == "float16":
        raise ConfigError("precision", "float16 on mps", "float32 or bfloat16 there",
                          "set precision to auto")  # fmt: skip
    if config.compile == "on" and device == "mps":
        raise ConfigError("compile", "on with device mps", "auto or off there",
                          "set compile to auto or device to cpu")  # fmt: skip
    if config.compile == "on" and not can_compile(device):
        gpu = device != "cpu"
        raise ConfigError(
            "compile", f"on without a C++ compiler{' and Triton' if gpu else ''}",
            "g++, clang++ or another that the environment variable CXX names"
            + (", and the package triton" if gpu else ""),
            "install what is missing or set compile to auto",
        )  # fmt: skip
    return device


def supports_cuda_graphs(config: RunConfig, device: str) -> bool:
    """Return whether a step of `config` can be recorded and replayed (`replay`); where nothing may
    be compiled, nothing is recorded either."""
    in_one = config.num_micro_batches == 1 and not config.activation_checkpointing
    in_one = in_one and not config.teachers and not config.lora_rank
    in_one = in_one and config.num_processes in (None, 1)
    return device.startswith("cuda") and in_one and config.compile != "off"


def candidate_backends(config: RunConfig, device: str) -> Iterator[Execution]:
    """Yield every execution but compiled ones; of what is forced, only that. For a GPU the one
    first that is likely the best: a short run tries no more than that."""
    requested_precision = config.precision
    gpu = device.startswith("cuda")
    precisions: list[Literal["float32", "bfloat16", "float16"]]
    if requested_precision != "auto":
        precisions = [requested_precision]
    elif gpu and not torch.cuda.is_bf16_supported(including_emulation=False):
        precisions = ["float16", "float32"]
    elif device == "cpu" and not _has_fast_bfloat16():
        precisions = ["float32"]
    else:
        precisions = ["bfloat16", "float32"] if gpu else ["float32", "bfloat16"]
    # On a GPU of NVIDIA torch's kernel was never the slower one, and takes less memory.
    kernels: list[Literal["matmul", "fused"]] = ["fused"] if gpu else ["matmul", "fused"]
    if config.attention != "auto":
        kernels = [config.attention]
    # Less than all cores where the user says so to torch.
    num_processes = config.num_processes or 1
    all_threads = torch.get_num_threads() if device == "cpu" else available_cores()
    threads = config.threads or divide_threads(all_threads, num_processes)
    replays = [True, False] if supports_cuda_graphs(config, device) else [False]
    for precision, attention, uses_cuda_graph in itertools.product(precisions, kernels, replays):
        yield Execution(
            device=device,
            precision=precision,
            attention=attention,
            threads=threads,
            torch=str(torch.__version__),
            processor=cpu_name(),
            cuda_graph=uses_cuda_graph,
            processes=num_processes,
            instructions=cpu_instructions(),
        )


def choose_sharded_execution(config: RunConfig, device: str) -> Execution:
    """Return how processes compute that divide the weights. Nothing is timed, since no process has
    room for the whole network.

    Raises `ConfigError` for what they cannot do.
    """
    if config.compile == "on":
        raise ConfigError("compile", "on where the processes divide the weights", "auto or off",
                          "set compile to auto")  # fmt: skip
    candidates = candidate_backends(config, device)
    fitting = (e for e in candidates if e.precision != "float16" and not e.cuda_graph)
    execution = next(fitting, None)
    if execution is None:
        raise ConfigError(
            "precision", "float16 where the processes divide the weights", "float32 or bfloat16",
            "set precision to auto",
        )  # fmt: skip
    return msgspec.structs.replace(execution, sharded=True)


@cache
def _has_fast_bfloat16() -> bool:
    """Return whether a small product in bfloat16 is worth comparing with one in float32.

    Without instructions for it, one is hundreds of times slower, and a whole step would take
    minutes to try. Called once: what is remembered is matched with the executions available.
    """
    exact = torch.ones(PROBE_SIZE, PROBE_SIZE)
    limit = PRUNE_RATIO * min(_product_seconds(exact) for _ in range(NUM_PILOT_RUNS))
    half = exact.bfloat16()
    return any(_product_seconds(half) < limit for _ in range(NUM_PILOT_RUNS))


def _product_seconds(matrix: torch.Tensor) -> float:
    began = time.perf_counter()
    matrix @ matrix
    return time.perf_counter() - began


def describe_execution(execution: Execution) -> str:
    """Describe an execution."""
    description = f"{execution.precision}, {execution.attention} attention"
    if execution.compiled:
        description += ", compiled"
    if execution.cuda_graph:
        description += ", CUDA graph"
    if execution.device == "cpu":
        description += f", {format_count(execution.threads, 'thread')}"
    if execution.processes > 1:
        description += f", {execution.processes} processes"
    if execution.sharded:
        description += " that divide the weights"
    return description
