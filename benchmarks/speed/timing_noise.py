"""How much timings of one network differ, by the clock of the wall and by processor time.

    python benchmarks/speed/timing_noise.py [BUSY]

Times one network TIMES times as trials are timed (`trials/timing/step_timing.py`), beside BUSY
processes that
keep a core each at work, and prints the largest and the smallest over the median of each clock.
"""

from __future__ import annotations

import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch

from descend.config import make_config
from descend.data.batches import BatchSampler
from descend.machine import available_cores, count_active_cores
from descend.model.shape import shape_from_run_config
from descend.training.execution.candidate_timing import time_training_step
from descend.training.step_inputs import make_step_inputs
from descend.trials.prepared_trial import trial_execution

TIMES = 20
CLOCKS: dict[str, Callable[[], float]] = {
    "wall": time.perf_counter,
    "processor time": time.process_time,
}


def work_on() -> None:
    while True:
        sum(range(10_000))


def main() -> None:
    others = [
        multiprocessing.Process(target=work_on, daemon=True)
        for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
    ]
    for other in others:
        other.start()
    config = make_config({"embed_dim": 128, "num_heads": 4, "ff_dim": 512, "num_layers": 2})
    shape, execution = shape_from_run_config(config, 2048), trial_execution(config)
    tokens = np.random.default_rng(0).integers(0, 2048, 20_000).astype(np.uint16)
    batches = BatchSampler(tokens, config.seq_len, config.batch_size, config.seed)
    inputs = make_step_inputs(config, shape, batches)
    torch.set_num_threads(execution.threads)
    print(
        f"{available_cores()} cores, {count_active_cores():.1f} of them busy, {len(others)} by us"
    )
    for name, clock in CLOCKS.items():
        timed = [
            time_training_step(execution, inputs, float("inf"), clock=clock)[0]
            for _ in range(TIMES)
        ]
        middle = statistics.median(timed)
        print(
            f"{name:14}  median {middle * 1e6:6.1f} microseconds a token, "
            f"{min(timed) / middle - 1:+.1%} to {max(timed) / middle - 1:+.1%}"
        )


if __name__ == "__main__":
    main()
