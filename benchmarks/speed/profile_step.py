"""Where the time of a training step goes: seconds of its parts, and torch's own profile.

    python benchmarks/speed/profile_step.py [VOCABULARY] [STEPS OF THE RUN]

Steps of the guide's size. With a long run the engine may compile. Prints a table.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import compared_programs
import torch
from torch.profiler import ProfilerActivity, profile

from descend.training import loop

PARTS = ("backward", "gradient_norm", "update")
STEPS = 25
PROFILED = 5


def timing(part: Callable[..., Any], seconds: list[float]) -> Callable[..., Any]:
    """`part`, with what each call took noted in `seconds`."""

    def timed(*arguments: Any, **named: Any) -> Any:
        began = time.perf_counter()
        result = part(*arguments, **named)
        seconds.append(time.perf_counter() - began)
        return result

    return timed


def main() -> None:
    compared_programs.VOCABULARY = int(sys.argv[1]) if len(sys.argv) > 1 else 2048
    run = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    seconds: dict[str, list[float]] = {part: [] for part in PARTS}
    for part in PARTS:
        setattr(loop, part, timing(getattr(loop, part), seconds[part]))
    size = compared_programs.SIZES["guide"]
    step = compared_programs.ours(size, steps=run)
    for _ in range(compared_programs.WARM_UP_STEPS):
        step()
    for noted in seconds.values():
        noted.clear()
    began = time.perf_counter()
    for _ in range(STEPS):
        step()
    mean = (time.perf_counter() - began) / STEPS
    tokens = size["batch_size"] * size["seq_len"] / mean
    print(f"{torch.get_num_threads()} threads, {1000 * mean:.0f} ms a step, {tokens:,.0f} tokens/s")
    for part, noted in seconds.items():
        print(f"{part}: median {1000 * statistics.median(noted):.0f} ms")
    with profile(activities=[ProfilerActivity.CPU]) as result:
        for _ in range(PROFILED):
            step()
    print(result.key_averages().table(sort_by="self_cpu_time_total", row_limit=22))


if __name__ == "__main__":
    main()
