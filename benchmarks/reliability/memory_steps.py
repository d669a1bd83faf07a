"""Many steps add no memory: anonymous memory and page tables over 50,000 steps.

    python benchmarks/reliability/memory_steps.py [--short] [--minutes MINUTES] [--out FILE]

The run evaluates, saves, and samples as any does. An epoch has about 230 steps: each adds a record
to the summary, so epochs do add memory. `kb_per_epoch` is what one adds: the record that is kept,
and the buffers in which the summary is written. `in_use` is the part of the memory that was not
freed: the rest are blocks that glibc keeps. The exit code is 1 if the upper 95 % bound of the
growth is 1 MB or more in 10,000 steps. The first 2,500 steps are stated apart: in them Python
specializes its code, and each kind of block is first asked for. The short form takes 10,000 steps.
When the time is over, the steps so far are evaluated.
"""

from __future__ import annotations

import ctypes
import math
import os
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
from campaign_options import begin_within, make_parser
from stored import scratch_folder, store

MB = 2**20
MAX_GROWTH_MB = 1.0
"""In 10,000 steps."""
NUM_SAMPLES = 500
WARM_UP = 2_500
"""Steps whose growth is stated apart: tracemalloc shows no object of ours that they leave."""
TEXT_COPIES = 20
"""Of 6 kB: 230 steps an epoch. Of one copy it has 11, and memory over steps is that of epochs."""


def read_bytes(file: str, *names: str) -> int:
    """The sum of fields of /proc/self/`file`."""
    lines = Path(f"/proc/self/{file}").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.split(":")[0] in names)


def anonymous_bytes() -> int:
    """Memory that is no file's, and the page tables: mapped tokens are given back at need."""
    return read_bytes("smaps_rollup", "Anonymous") + read_bytes("status", "VmPTE")


class _Heap(ctypes.Structure):
    """`struct mallinfo2` of glibc's malloc.h."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks",
                     "uordblks", "fordblks", "keepcost")
    ]  # fmt: skip


def used_bytes() -> int:
    """Bytes of the heap of glibc that were asked for and not freed."""
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = _Heap
    heap = mallinfo2()
    return int(heap.uordblks + heap.hblkhd)


def measure_epoch(place: Path) -> float:
    """Bytes that one more epoch adds: its record, and the most that writing the summary takes."""
    import msgspec

    from descend.runs.events import Epoch
    from descend.runs.run_files import load_summary, write_summary

    summary = load_summary(place / "run")
    size = 2000
    tracemalloc.start()
    epochs = [
        Epoch(number + 300, number + 10_000, *(number / 7 + field for field in range(9)))
        for number in range(size)
    ]
    write_summary(place / "run", msgspec.structs.replace(summary, epochs=epochs))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / size


def train(place: Path, steps: int, minutes: float) -> np.ndarray[Any, Any]:
    """Train for `steps` steps while there is time; the memory, and that in use, after each 500th
    part of them."""
    import saves

    from descend.config import make_config
    from descend.runs.events import Step
    from descend.training.trainer import run_training
    from descend.training.training_run import create_run

    saves.write_text(place / "text.txt")
    (place / "text.txt").write_text((place / "text.txt").read_text() * TEXT_COPIES)
    keys = {"corpus_dir": str(place / "text.txt"), "max_steps": steps, "epoch": None}
    run = create_run(make_config(saves.TINY | keys), place / "run")
    samples = np.zeros((steps // interval(steps), 2))  # no list, which would grow
    count = 0
    for event in begin_within(minutes, run_training(run)):
        if isinstance(event, Step) and event.step % interval(steps) == 0:
            samples[count] = anonymous_bytes(), used_bytes()
            count += 1
    return samples[:count]


def interval(steps: int) -> int:
    """The steps between two samples of `steps`."""
    return max(1, steps // NUM_SAMPLES)


def fit_growth(megabytes: np.ndarray[Any, Any], steps: int) -> tuple[float, float, list[float]]:
    """Megabytes more in 10,000 steps, the upper 95 % bound, and the means of 20 blocks."""
    blocks = np.array([block.mean() for block in np.array_split(megabytes, 20)])
    x = (np.arange(len(blocks)) + 0.5) / len(blocks) * steps / 10_000
    (slope, _), covariance = np.polyfit(x, blocks, 1, cov=True)
    upper = slope + 1.734 * math.sqrt(covariance[0, 0])  # one-sided t of 18 degrees
    return float(slope), float(upper), blocks.tolist()


def judge(samples: np.ndarray[Any, Any], planned: int) -> dict[str, Any]:
    """The growth over the steps after the first ones."""
    steps = len(samples) * interval(planned)
    first = WARM_UP // interval(planned)
    megabytes, in_use = samples[first:].T / MB
    slope, upper, blocks = fit_growth(megabytes, steps - WARM_UP)
    in_use_slope, in_use_upper, _ = fit_growth(in_use, steps - WARM_UP)
    return {
        "planned": planned, "steps": steps, "samples": len(megabytes),
        "warm_up_mb": round(float(megabytes[0] - samples[0, 0] / MB), 3),
        "mean_mb": round(float(megabytes.mean()), 1),
        "slope_mb_per_10000_steps": round(slope, 4), "upper_bound": round(upper, 4),
        "most_mb": round(float(megabytes.max()), 1), "least_mb": round(float(megabytes.min()), 1),
        "block_mb": " ".join(f"{block:.1f}" for block in blocks),
        "in_use_slope": round(in_use_slope, 4), "in_use_bound": round(in_use_upper, 4),
        "holds": upper < MAX_GROWTH_MB,
    }  # fmt: skip


def main() -> None:
    parser = make_parser(__doc__, short="10,000 steps")
    parser.add_argument("--steps", type=int, help="another number of steps")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    steps = arguments.steps or (10_000 if arguments.short else 50_000)
    with scratch_folder() as place:
        result = judge(train(place, steps, arguments.minutes), steps)
        result["kb_per_epoch"] = round(measure_epoch(place) / 1000, 2)
    store("memory_steps", result, arguments.out)
    sys.exit(0 if result["holds"] else 1)


if __name__ == "__main__":
    if not sys.platform.startswith("linux"):
        sys.exit("not run: it needs Linux")
    main()
