"""What saving adds to the time of training: blocks of steps with and without a save, in turn.

    python benchmarks/reliability/save_cost.py [--minutes M] [--out FILE]

One process trains one run. A block lasts until descend saves at its own interval; the next one
has as many steps and no save. Time is that of the process, at work or waiting for the disk, without
its wait for a core that others use (`/proc/thread-self/schedstat`). The interval of 95 % is from
drawing pairs anew. Samples are left out, and pairs in which an epoch ends. The exit code is 1 if
saving costs over 2 % for certain.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from campaign_options import make_parser
from stored import scratch_folder, store

MAX_COST = 0.02
NUM_DRAWS = 10_000
CONFIG = {
    "corpus_dir": "stories", "embed_dim": 128, "num_layers": 2, "num_heads": 4, "ff_dim": 512,
    "seq_len": 64, "max_seq_len": 64, "batch_size": 16, "vocab_size": 512, "max_steps": 1_000_000,
    "epoch": None, "precision": "float32", "threads": 1, "compile": "off",
}  # fmt: skip


def read_own_clock() -> float:
    """Seconds that passed, less those that this thread was ready and had no core."""
    waited = int(Path("/proc/thread-self/schedstat").read_text().split()[1])
    return time.perf_counter() - waited / 1e9


class Blocks:
    """Pairs of blocks: seconds with a save and without one, of as many steps."""

    def __init__(self, saving: Any) -> None:
        self.saving, self.pairs = saving, list[tuple[float, float]]()
        self.steps: list[int] = []
        self._has_epoch = False
        self._begin(saves=False)
        self._length, self._with_save = 10, 0.0  # the first block warms up

    def _begin(self, saves: bool) -> None:
        self.is_saving, self._count = saves, 0
        self._began = self.saving.since = read_own_clock()

    def add(self, record: Any) -> None:
        """Count a record of the run, and change from one kind of block to the other."""
        from descend.runs.events import CheckpointSaved, Epoch, Step

        self._count += isinstance(record, Step)
        self._has_epoch |= isinstance(record, Epoch)
        passed = read_own_clock() - self._began
        if self.is_saving and isinstance(record, CheckpointSaved):
            self._with_save, self._length = passed, self._count
            self._begin(saves=False)
        elif not self.is_saving and isinstance(record, Step) and self._count >= self._length:
            if self._with_save and not self._has_epoch:
                self.pairs.append((self._with_save, passed))
                self.steps.append(self._length)
            self._has_epoch = False
            self._begin(saves=True)


def measure(folder: Path, minutes: float) -> Blocks:
    """Train for so long; the pairs."""
    from descend.config import make_config
    from descend.training import trainer
    from descend.training.training_run import create_run

    budgets: list[Any] = []

    class OwnTime(trainer.TimeBudget):
        """The default interval, by the own clock; in blocks without a save it is never due."""

        def __post_init__(self) -> None:
            self.clock = read_own_clock
            super().__post_init__()
            budgets.append(self)

        def is_due(self) -> bool:
            """Of the first budget, which is for saves; there are no samples."""
            return self is budgets[0] and blocks.is_saving and super().is_due()

        def is_overdue(self) -> bool:
            return False

    trainer.TimeBudget = OwnTime  # type: ignore[misc]
    records = iter(trainer.run_training(create_run(make_config(CONFIG), folder)))
    next(records)
    until = time.monotonic() + 60 * minutes
    record = next(records)
    while not budgets:
        record = next(records)
    blocks = Blocks(budgets[0])
    while time.monotonic() < until:
        blocks.add(record)
        record = next(records)
    records.close()  # type: ignore[attr-defined]
    return blocks


def estimate_cost(pairs: list[tuple[float, float]]) -> tuple[float, float, float]:
    """The fraction that saving adds, and the limits of its interval of 95 %."""
    seconds = np.array(pairs)
    drawn = np.random.default_rng(0).integers(len(pairs), size=(NUM_DRAWS, len(pairs)))
    sums = seconds[drawn].sum(axis=1)
    low, high = np.quantile(sums[:, 0] / sums[:, 1] - 1, (0.025, 0.975))
    total = seconds.sum(axis=0)
    return float(total[0] / total[1] - 1), float(low), float(high)


def main() -> None:
    arguments = make_parser(__doc__).parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    with scratch_folder() as place:
        blocks = measure(place / "run", arguments.minutes)
    cost, low, high = estimate_cost(blocks.pairs)
    store("save_cost", {
        "cost": round(cost, 4), "low": round(low, 4), "high": round(high, 4),
        "pairs": len(blocks.pairs), "steps_of_a_block": statistics.median(blocks.steps),
        "seconds_of_a_block": round(statistics.median(b for _, b in blocks.pairs), 2),
        "load": round(os.getloadavg()[2], 1),
    }, arguments.out)  # fmt: skip
    sys.exit(1 if low > MAX_COST else 0)


if __name__ == "__main__":
    if not Path("/proc/thread-self/schedstat").exists():
        sys.exit("not run: it needs the counters of the scheduler of Linux")
    main()
