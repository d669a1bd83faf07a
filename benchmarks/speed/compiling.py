"""What compiling one block costs and brings on this processor, beside compiling the whole network.

    python benchmarks/speed/compiling.py [SIZE]

Prints, for each way: seconds of the first step with an empty cache, with a cache that holds another
width, and with one that holds this width; then tokens a second of the later steps (median of
twelve, optimizer included). Each figure of a first step is from a process of its own.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

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

STEPS = 12
WAYS = ("not compiled", "blocks", "whole network")


def time_steps(size: dict[str, int], precision: str, way: str) -> tuple[float, float]:
    """Seconds of the first step, and tokens a second of the others."""
    config = make_config(size | {"warmup_steps": 0})
    execution = Execution(
        device="cpu", precision=precision, attention="matmul",  # type: ignore[arg-type]
        threads=torch.get_num_threads(), torch="", processor="", compiled=way == "blocks",
    )  # fmt: skip
    model = Transformer(shape_from_run_config(config, VOCABULARY), 0.0, "matmul")
    initialize(model, 0)
    optimizers = make_optimizers(model, config, execution)
    compute = make_loss_fn(execution)
    if way == "whole network":
        compute = compile_function(next_token_loss)
    ids = torch.randint(0, VOCABULARY, (size["batch_size"], size["seq_len"] + 1))
    seconds = []
    for _ in range(STEPS + 1):
        began = time.perf_counter()
        with autocast_precision(execution):
            loss, _ = compute(model, ids[:, :-1], ids[:, 1:], 0.0)
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        seconds.append(time.perf_counter() - began)
    return seconds[0], ids[:, 1:].numel() / statistics.median(seconds[1:])


def time_in_child(size: str, precision: str, way: str, cache: str) -> list[str]:
    """`time_steps` in a process of its own that compiles into `cache`."""
    done = subprocess.run(
        [sys.executable, __file__, "--one", size, precision, way],
        env=os.environ | {"TORCHINDUCTOR_CACHE_DIR": cache, "DESCEND_CACHE_DIR": cache},
        stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    return done.stdout.split()


def main() -> None:
    """Print the table."""
    if "--one" in sys.argv:
        name, precision, way = sys.argv[2:]
        width = 64 if name.startswith("other-") else 0
        size = dict(SIZES[name.removeprefix("other-")])
        size["embed_dim"] += width
        print(*time_steps(size, precision, way))
        return
    name = sys.argv[1] if len(sys.argv) > 1 else "guide"
    print(f"python benchmarks/speed/compiling.py {name}")
    print(
        f"{cpu_name()}, torch {torch.__version__}, {torch.get_num_threads()} threads, {SIZES[name]}"
    )
    print(f"{'':25}{'first':>9}{'new width':>11}{'again':>7}   seconds; tokens/s")
    for precision in ("float32", "bfloat16"):
        for way in WAYS:
            with tempfile.TemporaryDirectory() as cache:
                first = time_in_child(f"other-{name}", precision, way, cache)[0]
                new, _ = time_in_child(name, precision, way, cache)
                again, speed = time_in_child(name, precision, way, cache)
            figures = f"{float(first):9.1f}{float(new):11.1f}{float(again):7.1f}"
            print(f"{precision:9} {way:15}{figures} {float(speed):20,.0f}", flush=True)


if __name__ == "__main__":
    main()
