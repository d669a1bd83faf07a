"""Too little memory: said before the first step where it can be seen coming."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from descend.config import RunConfig
from descend.errors import ConfigError, OutOfMemoryError, is_memory_error
from descend.machine import free_memory_bytes
from descend.model.cost import (
    sharded_memory_breakdown,
    training_memory,
    training_memory_breakdown,
)
from descend.model.shape import ModelShape
from descend.training.lora_adapters import DEFAULT_RANK
from descend.training.num_processes import local_world_size
from descend.units import format_bytes

FORCE_SHARDS = "_DESCEND_FORCE_SHARDS"
"""Environment variable, for tests: divide the weights although they fit."""


def needed_main_memory(config: RunConfig, shape: ModelShape, *, is_sharded: bool = False) -> int:
    """Return bytes that the processes of a run on this machine take at their peak, by the
    estimate."""
    processes = local_world_size(config)
    if not is_sharded:
        return processes * training_memory(config, shape)
    memory = sharded_memory_breakdown(config, shape)
    return processes * memory.resident + max(processes * memory.step, memory.save)


def choose_sharding(config: RunConfig, shape: ModelShape, device: str) -> bool:
    """Return whether the processes of `config` divide the weights (FSDP2): where a process, or all
    processes of this machine, have no room for the whole, one sequence at a time."""
    if (config.num_processes or 1) == 1 or config.lora_rank:
        return False
    if FORCE_SHARDS in os.environ:
        return True
    available = free_memory_bytes(device)
    lightest = [config, *_in_more_parts(config)][-1]
    if available is None:
        return False
    if device == "cpu":
        return needed_main_memory(lightest, shape) > available
    return training_memory_breakdown(lightest, shape).on_gpu > available


def check_memory(
    config: RunConfig, shape: ModelShape, device: str, *, is_sharded: bool = False
) -> None:
    """Raise `OutOfMemoryError` if training needs more memory than this machine can give.

    For the main memory only: a GPU refuses by itself (`translate_memory_errors`), while Linux
    promises memory it does not have and then kills the process without a word.
    """
    available = free_memory_bytes(device)
    needed = needed_main_memory(config, shape, is_sharded=is_sharded)
    if device == "cpu" and available is not None and needed > available:
        if is_sharded:
            raise OutOfMemoryError(
                "memory", f"a need of about {format_bytes(needed)} with the weights divided",
                f"at most the {format_bytes(available)} that are free",
                "use more machines, or lower num_layers or embed_dim",
            )  # fmt: skip
        raise _error(config, shape, f"a need of about {format_bytes(needed)}", available)


def choose_lora_rank(
    config: RunConfig, shape: ModelShape, device: str, *, has_parent: bool
) -> RunConfig:
    """Return `config` with adapters where a model is trained further, this was left open, and
    training all of its weights would not fit into memory even one sequence at a time.

    `ConfigError` for adapters of a new model.
    """
    if config.lora_rank and not has_parent:
        raise ConfigError(
            "lora_rank", f"{config.lora_rank} for a new model", "a model to train further",
            "use `descend continue`, or set lora_rank to 0",
        )  # fmt: skip
    if not has_parent or config.lora_rank is not None or config.optimizer != "adamw":
        return config
    lightest = config
    if config.gradient_accumulation_steps is None:
        lightest = [config, *_in_more_parts(config)][-1]
    available = free_memory_bytes(device)
    needed = needed_main_memory(lightest, shape)
    is_too_large = available is not None and needed > available
    return config.model_copy(update={"lora_rank": DEFAULT_RANK if is_too_large else 0})


def fit_micro_batches_to_memory(
    config: RunConfig, shape: ModelShape, device: str, *, is_sharded: bool = False
) -> RunConfig:
    """Return `config`, where the parts of a batch were left open with as few as the main memory has
    room for by the estimate; one, if not even single sequences have room."""
    if config.gradient_accumulation_steps is not None:
        return config
    available = free_memory_bytes(device) if device == "cpu" or is_sharded else None
    whole = config.model_copy(update={"gradient_accumulation_steps": 1})
    if available is None:
        return whole
    candidates = (whole, *_in_more_parts(whole))
    if is_sharded:  # no step is tried before the processes have met

        def fits(candidate: RunConfig) -> bool:
            if device == "cpu":
                return needed_main_memory(candidate, shape, is_sharded=True) <= available
            return sharded_memory_breakdown(candidate, shape).on_gpu <= available

        return next(filter(fits, candidates), candidates[-1])
    room = available // local_world_size(config)
    return next(
        (candidate for candidate in candidates if training_memory(candidate, shape) <= room), whole
    )


def with_smaller_micro_batches(config: RunConfig) -> RunConfig | None:
    """Return `config` with the batch in twice as many parts; None where each is one sequence
    already."""
    return next(_in_more_parts(config), None)


def _in_more_parts(config: RunConfig) -> Iterator[RunConfig]:
    """Yield `config` with the batch in more and more parts, until each is one sequence."""
    parts, max_parts = config.num_micro_batches, config.batch_size // (config.num_processes or 1)
    while parts < max_parts:
        parts = min(2 * parts, max_parts)
        yield config.model_copy(update={"gradient_accumulation_steps": parts})


@contextmanager
def translate_memory_errors(config: RunConfig, shape: ModelShape) -> Iterator[None]:
    """Turn the allocator's words into one sentence: the one place where that is done."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise _error(config, shape, "no memory left on the device", None) from None
    except (MemoryError, OSError, RuntimeError) as problem:
        if not is_memory_error(problem):
            raise
        raise _error(config, shape, "no memory left", free_memory_bytes("cpu")) from None


def _error(
    config: RunConfig, shape: ModelShape, actual: str, available: int | None
) -> OutOfMemoryError:
    room = "less" if available is None else f"at most the {format_bytes(available)} that are free"
    return OutOfMemoryError(
        "memory", actual, room, memory_reduction_advice(config, shape, available)
    )


def memory_reduction_advice(config: RunConfig, shape: ModelShape, available: int | None) -> str:
    """Return which setting to change and to what, so that the need of all processes here fits
    `available` bytes (or halves)."""
    processes = local_world_size(config)
    target = training_memory(config, shape) / 2 if available is None else available / processes
    # Where nobody knows how much is there, the batch is divided before the network is made smaller.
    in_parts = list(_in_more_parts(config))
    last = in_parts[-1] if in_parts and available is None else None
    lighter = next((parts for parts in in_parts if training_memory(parts, shape) <= target), last)
    if lighter is not None:
        return (
            f"set gradient_accumulation_steps to {lighter.num_micro_batches} (the result stays"
            " the same)"
        )
    fewer = 0 if available is None else _fitting_processes(config, shape, available)
    if fewer:
        return f"start {fewer} of the processes on this machine: each holds all weights"
    reason = " (each process holds all weights)" if (config.num_processes or 1) > 1 else ""
    smaller, one_sequence = config, config.batch_size // (config.num_processes or 1)
    while smaller.num_layers > 1 or smaller.embed_dim > config.num_heads * 4:
        width = smaller.embed_dim // 2
        if smaller.embed_dim % 2 == 0 and width % config.num_heads == 0 and width >= 8:
            smaller = smaller.model_copy(update={"embed_dim": width, "ff_dim": smaller.ff_dim // 2})
        elif smaller.num_layers > 1:
            smaller = smaller.model_copy(update={"num_layers": smaller.num_layers // 2})
        else:
            break
        small = smaller.model_copy(update={"gradient_accumulation_steps": one_sequence})
        if training_memory(small, _resized(shape, small)) <= target:
            return (
                f"set embed_dim to {small.embed_dim}, num_layers to {small.num_layers}, ff_dim to "
                f"{small.ff_dim} and gradient_accumulation_steps to {one_sequence}{reason}"
            )
    return f"lower vocab_size, now {shape.vocab_size}, or seq_len, now {config.seq_len}{reason}"


def _fitting_processes(config: RunConfig, shape: ModelShape, available: int) -> int:
    """Return how many processes on this machine have room, one sequence at a time; 0 for none, and
    where all have."""
    lightest = [config, *_in_more_parts(config)][-1]
    room = int(available // training_memory(lightest, shape))
    counts = range(min(room, local_world_size(config) - 1), 0, -1)
    return next((count for count in counts if config.batch_size % count == 0), 0)


def _resized(shape: ModelShape, config: RunConfig) -> ModelShape:
    return ModelShape(
        shape.architecture,
        shape.vocab_size,
        config.embed_dim,
        config.num_heads,
        config.num_layers,
        config.ff_dim,
        shape.max_seq_len,
        shape.details,
    )
