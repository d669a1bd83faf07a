"""What compiling one block costs and brings on this processor, beside compiling the whole network.

    python benchmarks/speed/compiling.py [SIZE]

Prints seconds of the first step with an empty cache, with a cache that holds another width, and
with one that holds this width, each from a process of its own. Then milliseconds of later steps
with the optimizer, and their ratio to those that are not compiled, by rounds in which each mode
takes a few steps in turn (median, quartiles).
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import torch
from compared_programs import SIZES, VOCABULARY

from descend.config import make_config
from descend.machine import Execution, cpu_name
from descend.model.initialization import initialize
from descend.model.shape import shape_from_run_config
from descend.model.transformer import Transformer
from descend.training.loss import compile_function, make_loss_fn, next_token_loss
from descend.training.optimizers import make_optimizers
from descend.training.precision import autocast_precision

ROUNDS, STEPS = 9, 4
MODES = ("not compiled", "blocks", "whole network")


def make_step(size: dict[str, int], precision: str, mode: str) -> Callable[[], float]:
    """Return a function that makes a step and returns its seconds."""
    config = make_config(size | {"warmup_steps": 0})
    execution = Execution(
        device="cpu", precision=precision, attention="matmul",  # type: ignore[arg-type]
        threads=torch.get_num_threads(), torch="", processor="", compiled=mode == "blocks",
    )  # fmt: skip
    model = Transformer(shape_from_run_config(config, VOCABULARY), 0.0, "matmul")
    initialize(model, 0)
    optimizers = make_optimizers(model, config, execution)
    whole = mode == "whole network"
    compute = compile_function(next_token_loss) if whole else make_loss_fn(execution)
    ids = torch.randint(0, VOCABULARY, (size["batch_size"], size["seq_len"] + 1))

    def step() -> float:
        began = time.perf_counter()
        with autocast_precision(execution):
            loss, _ = compute(model, ids[:, :-1], ids[:, 1:], 0.0)
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return time.perf_counter() - began

    return step


def time_first_step(size: str, precision: str, mode: str, cache: str) -> float:
    """Seconds of the first step in a process of its own that compiles into `cache`."""
    done = subprocess.run(
        [sys.executable, __file__, "--one", size, precision, mode],
        env=os.environ | {"TORCHINDUCTOR_CACHE_DIR": cache, "DESCEND_CACHE_DIR": cache},
        stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    return float(done.stdout)


def time_in_turn(size: dict[str, int], precision: str) -> dict[str, list[float]]:
    """Median seconds of a step of each mode, round by round."""
    steps = {mode: make_step(size, precision, mode) for mode in MODES}
    rounds: dict[str, list[float]] = {mode: [] for mode in MODES}
    for _ in range(1 + ROUNDS):  # the first to compile
        for mode, step in steps.items():
            rounds[mode].append(statistics.median(step() for _ in range(STEPS)))
    return {mode: seconds[1:] for mode, seconds in rounds.items()}


def main() -> None:
    """Print the table."""
    if "--one" in sys.argv:
        name, precision, mode = sys.argv[2:]
        size = dict(SIZES[name.removeprefix("other-")])
        size["embed_dim"] += 64 if name.startswith("other-") else 0
        print(make_step(size, precision, mode)())
        return
    name = sys.argv[1] if len(sys.argv) > 1 else "guide"
    print(f"python benchmarks/speed/compiling.py {name}")
    print(f"{cpu_name()}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    print(f"{SIZES[name]}, vocabulary {VOCABULARY}")
    print(f"{'':25}{'first':>8}{'new width':>11}{'again':>7} s{'a step':>11} ms   times as long")
    for precision in ("float32", "bfloat16"):
        rounds = time_in_turn(SIZES[name], precision)
        for mode in MODES:
            with tempfile.TemporaryDirectory() as cache:
                first = time_first_step(f"other-{name}", precision, mode, cache)
                new = time_first_step(name, precision, mode, cache)
                again = time_first_step(name, precision, mode, cache)
            pairs = zip(rounds[mode], rounds[MODES[0]], strict=True)
            low, middle, high = statistics.quantiles([a / b for a, b in pairs], n=4)
            step = 1000 * statistics.median(rounds[mode])
            print(f"{precision:9} {mode:15}{first:8.1f}{new:11.1f}{again:7.1f}{step:13.1f}"
                  f"{middle:12.2f} ({low:.2f} to {high:.2f})", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
