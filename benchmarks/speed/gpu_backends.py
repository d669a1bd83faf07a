"""Every execution of a step on a GPU, timed at three sizes; and whether it gives the same bits.

    python benchmarks/speed/gpu_backends.py [SIZE,SIZE]

Prints, for each execution: the seconds before the sixth step (compiling and recording among them),
milliseconds of forward and backward, of the update, and of whole steps one after another, tokens a
second of those, and megabytes at the most. Then the loss after fifty steps with dropout, of two
runs alike, with torch's deterministic kernels and without.
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # deterministic kernels ask for it

import numpy as np
import torch
from compared_programs import SIZES

from descend.config import make_config
from descend.data.batches import BatchSampler
from descend.machine import Execution
from descend.model.shape import shape_from_run_config
from descend.runs.events import Step
from descend.training.loop import accumulate_gradients, gradient_norm, optimizer_step, train
from descend.training.step_inputs import make_step_inputs
from descend.training.train_plan import TrainPlan
from descend.training.training_run import initial_train_state

VOCABULARY = {"guide": 4096, "baby": 65, "gpt2": 32768}
BACKENDS: dict[str, dict[str, Any]] = {
    "float32, written out": {"precision": "float32", "attention": "matmul"},
    "float32": {"precision": "float32"},
    "bfloat16, written out": {"attention": "matmul"},
    "bfloat16": {},
    "bfloat16, replayed": {"replayed": True},
    "bfloat16, compiled": {"compiled": True},
    "bfloat16, compiled, replayed": {"compiled": True, "replayed": True},
}
SECONDS = 1.0


def make_plan(size: str, backend: dict[str, Any], dropout: float = 0.0) -> TrainPlan:
    """A run on random tokens."""
    config = make_config(SIZES[size] | {"dropout_rate": dropout, "warmup_steps": 0})
    tokens = np.random.default_rng(0).integers(0, VOCABULARY[size], 5_000_000).astype(np.uint16)
    batches = BatchSampler(tokens, config.seq_len, config.batch_size, 0)
    plain: dict[str, Any] = {"precision": "bfloat16", "attention": "fused"}
    execution = Execution(**plain | backend, device="cuda", threads=1, torch="", processor="")
    return TrainPlan(config, execution, batches, 1, batches.steps(1), lambda _: 1e-4, None)


def start(size: str, plan: TrainPlan) -> Any:
    """The state before the first step."""
    shape = shape_from_run_config(plan.config, VOCABULARY[size])
    inputs = make_step_inputs(plan.config, shape, plan.batches)
    return initial_train_state(inputs, plan.execution)


def timed(size: str, backend: dict[str, Any]) -> str:
    """A line of the table."""
    torch.cuda.reset_peak_memory_stats()
    plan, began = make_plan(size, backend), time.perf_counter()
    state = start(size, plan)
    marks: list[tuple[float, float]] = []
    for step in itertools.count():
        before = time.perf_counter()
        accumulate_gradients(state, plan, step)
        torch.cuda.synchronize()
        between = time.perf_counter()
        gradient_norm(state, plan)
        optimizer_step(state, True)
        torch.cuda.synchronize()
        after = time.perf_counter()
        if step == 5:
            first, marks = after - began, []
        marks.append((between - before, after - between))
        if step > 5 and after - began > first + SECONDS:
            break
    forward, moving = np.median(marks, axis=0) * 1000
    records, count = train(state, plan), len(marks)
    before = time.perf_counter()
    for _ in itertools.islice(records, count):
        pass
    torch.cuda.synchronize()
    whole = (time.perf_counter() - before) / count
    megabytes = torch.cuda.max_memory_allocated() / 2**20
    return (
        f"{first:6.1f} {forward:8.2f} {moving:8.2f} {whole * 1000:8.2f} "
        f"{plan.batches.tokens_per_step / whole:12,.0f} {megabytes:8,.0f}"
    )


def losses(size: str, backend: dict[str, Any]) -> Iterator[float]:
    """After fifty steps, of two runs."""
    for _ in range(2):
        plan = replace(make_plan(size, backend, dropout=0.1), learning_rate=lambda _: 1e-3)
        steps = itertools.islice(train(start(size, plan), plan), 50)
        yield [r.loss for records in steps for r in records if isinstance(r, Step)][-1]


def main() -> None:
    sizes = sys.argv[1].split(",") if len(sys.argv) > 1 else list(VOCABULARY)
    print(f"python benchmarks/speed/gpu_backends.py {','.join(sizes)}")
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    print(f"{'':38} start s  forward   update    whole     tokens/s       MB")
    for size, (name, backend) in itertools.product(sizes, BACKENDS.items()):
        print(f"{size:6} {name:30} {timed(size, backend)}", flush=True)
        torch.cuda.empty_cache()
    for size, exact, name in itertools.product(sizes, (False, True), list(BACKENDS)[3:]):
        torch.use_deterministic_algorithms(exact)
        first, second = losses(size, BACKENDS[name])
        kind = "deterministic" if exact else "as it comes"
        print(f"{size:6} {name:30} {kind:14} {first:.6f} {second:.6f}", flush=True)


if __name__ == "__main__":
    main()
