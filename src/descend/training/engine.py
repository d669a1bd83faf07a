"""How to compute on this machine, decided by trying: the choice is one line in the log.

A step of the real network on a real batch is timed in each candidate way, for a second or so
in all; the weights are not moved. What was forced by the configuration is not tried.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec
import torch
from torch.nn import functional

from descend.config import RunConfig
from descend.errors import ConfigError
from descend.machine import Execution, cores, pick_device, processor
from descend.model.shape import ModelShape
from descend.model.transformer import Transformer
from descend.text.batches import BatchPlan
from descend.text.cache import cache_dir
from descend.training.optimizer import make_optimizers
from descend.training.precision import compute_in

_FORMAT = 1

PROBE_TOKENS = 1024
"""Tokens in a probing step: enough to keep all cores busy, few enough to be quick."""

PROBE_REPEATS = 2

BUSY_LOAD = 0.5
"""Load average from which another program is thought to keep a core busy."""

HOPELESS = 2.0
"""A way whose first step takes this many times the best so far is not timed further."""


class Choice(msgspec.Struct, frozen=True):
    """The way chosen, what each way tried took, and what an update of the weights adds."""

    execution: Execution
    seconds_per_token: dict[str, float]
    """Forward and backward, by the name of the way."""
    seconds_per_update: float

    def seconds(self, tokens_per_step: int, steps: int) -> float:
        """Time that `steps` will take, validation and saving left out."""
        per_token = self.seconds_per_token[name_of(self.execution)]
        return steps * (tokens_per_step * per_token + self.seconds_per_update)


def choose_execution(config: RunConfig, shape: ModelShape, batches: BatchPlan) -> Choice:
    """Time the candidate ways on this machine and take the fastest; remembered in the cache."""
    device = pick_device(config.device)
    if device == "mps" and config.precision == "float16":
        raise ConfigError("precision", "float16 on mps", "float32 or bfloat16 there",
                          "set precision to auto")  # fmt: skip
    ways = list(_candidates(config, device))
    decided_by = (_FORMAT, shape, ways, config.optimizer, config.seq_len, config.batch_size,
                  config.dropout_rate, config.activation_checkpointing)  # fmt: skip
    key = hashlib.sha256(repr(decided_by).encode()).hexdigest()[:24]
    file = cache_dir() / "engine" / f"{key}.json"
    choice = _remembered(file)
    if choice is None:
        choice = _try_all(ways, config, shape, batches)
        _remember(file, choice)
    if device == "cpu" and _others_are_busy():
        # What a browser does to us this minute is no fact of the machine: not remembered.
        return _try_all(_with_fewer_threads(choice.execution), config, shape, batches)
    return choice


def _remembered(file: Path) -> Choice | None:
    with suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode(file.read_bytes(), type=Choice)
    return None


def _remember(file: Path, choice: Choice) -> None:
    with suppress(OSError):  # not remembered, it is tried again next time
        file.parent.mkdir(parents=True, exist_ok=True)
        aside = file.with_suffix(f".{os.getpid()}")
        aside.write_bytes(msgspec.json.encode(choice))
        aside.replace(file)


def _others_are_busy() -> bool:
    """Whether other programs keep a core at work: the load of the last minute says so."""
    return hasattr(os, "getloadavg") and os.getloadavg()[0] > BUSY_LOAD


def _with_fewer_threads(way: Execution) -> list[Execution]:
    """`way` as it is, and on fewer threads: each step waits for the slowest of them, so with one
    core taken by another program all but one thread may wait for the last one's turn."""
    counts = dict.fromkeys((way.threads, way.threads - 1, way.threads // 2))
    return [msgspec.structs.replace(way, threads=n) for n in counts if n >= 1]


def _try_all(
    ways: list[Execution], config: RunConfig, shape: ModelShape, batches: BatchPlan
) -> Choice:
    best = ways[0]
    timed: dict[Execution, float] = {}
    updates: dict[Execution, float] = {}
    for way in ways:
        limit = timed[best] * HOPELESS if timed else float("inf")
        timed[way], updates[way] = time_step(way, config, shape, batches, limit)
        if timed[way] < timed[best]:
            best = way
    return Choice(best, {name_of(way): s for way, s in timed.items()}, updates[best])


def _candidates(config: RunConfig, device: str) -> Iterator[Execution]:
    asked = config.precision
    precisions: list[Literal["float32", "bfloat16", "float16"]]
    if asked != "auto":
        precisions = [asked]
    elif device.startswith("cuda") and not torch.cuda.is_bf16_supported(including_emulation=False):
        precisions = ["float32", "float16"]
    else:
        precisions = ["float32", "bfloat16"]
    kernels: list[Literal["matmul", "fused"]] = ["matmul", "fused"]
    for precision in precisions:
        for attention in kernels:
            yield Execution(
                device=device,
                precision=precision,
                attention=attention,
                threads=torch.get_num_threads() if device == "cpu" else cores(),
                torch=str(torch.__version__),
                processor=processor(),
            )


def time_step(
    way: Execution, config: RunConfig, shape: ModelShape, batches: BatchPlan, limit: float
) -> tuple[float, float]:
    """Seconds per token of forward and backward, and seconds of an update: the fastest of a few
    after one to warm up; only that one if it took more than `limit` a token."""
    torch.manual_seed(0)
    torch.set_num_threads(way.threads)
    model = Transformer(shape, config.dropout_rate, way.attention).to(way.device)
    model.checkpoint_activations = config.activation_checkpointing
    optimizers = make_optimizers(model, config)
    sequences = max(1, min(config.batch_size, PROBE_TOKENS // config.seq_len))
    batch = torch.from_numpy(batches.batch(0)[:sequences]).to(way.device)
    steps, updates = [], []
    for _ in range(PROBE_REPEATS + 1):
        began = time.perf_counter()
        with compute_in(way):
            logits = model(batch[:, :-1])
        loss = functional.cross_entropy(logits.flatten(0, 1).float(), batch[:, 1:].flatten())
        loss.backward()  # type: ignore[no-untyped-call]
        _wait_for(way.device)
        between = time.perf_counter()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        _wait_for(way.device)
        steps.append((between - began) / (sequences * config.seq_len))
        updates.append(time.perf_counter() - between)
        if steps[0] > limit:
            break
    return min(steps[1:] or steps), min(updates[1:] or updates)


def _wait_for(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def name_of(way: Execution) -> str:
    """A way in words."""
    way_in_short = f"{way.precision}, {way.attention} attention"
    if way.device != "cpu":
        return way_in_short
    return f"{way_in_short}, {way.threads} thread{'s' if way.threads != 1 else ''}"
