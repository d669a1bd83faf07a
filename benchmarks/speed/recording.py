"""What the records of a run cost: the fraction of its time that goes into watching and writing
them.

    python benchmarks/speed/recording.py RESULTS TEXT [--steps N]

Trains the guide's network, and one a sixteenth of its size, on TEXT by the product's own loop, and
adds up the time inside the watch over the matrices and inside the log. Writes
RESULTS/recording.json.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from descend.config import make_config
from descend.machine import cpu_name, package_versions
from descend.metrics.weight_updates import WeightUpdateRecorder
from descend.runs.event_log import EventLog
from descend.training.trainer import run_training
from descend.training.training_run import create_run

SIZES: dict[str, dict[str, Any]] = {
    "guide": {},
    "small": {"embed_dim": 64, "num_heads": 2, "ff_dim": 256, "num_layers": 2, "seq_len": 64,
              "batch_size": 8},
}  # fmt: skip


def timed(kind: type, name: str, spent: list[float]) -> None:
    """Let the method `name` of `kind` add what it takes to `spent`."""
    inner: Callable[..., Any] = getattr(kind, name)

    def outer(*arguments: Any) -> Any:
        began = time.perf_counter()
        try:
            return inner(*arguments)
        finally:
            spent.append(time.perf_counter() - began)

    setattr(kind, name, outer)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("results", type=Path)
    parser.add_argument("text")
    parser.add_argument("--steps", type=int, default=150)
    args = parser.parse_args()
    spent: list[float] = []
    for kind, name in (
        (WeightUpdateRecorder, "before"),
        (WeightUpdateRecorder, "after"),
        (EventLog, "append"),
    ):
        timed(kind, name, spent)
    sizes_by_name = {}
    for size, sizes in SIZES.items():
        values = sizes | {"corpus_dir": args.text, "max_steps": args.steps}
        with tempfile.TemporaryDirectory() as folder:
            run = create_run(make_config(values), Path(folder) / "run")
            spent.clear()
            for _ in run_training(run):
                pass
        sizes_by_name[size] = {"steps": args.steps, "seconds": round(run.state.elapsed_seconds, 3),
                       "recording_seconds": round(sum(spent), 4),
                       "share": round(sum(spent) / run.state.elapsed_seconds, 5)}  # fmt: skip
        print(size, sizes_by_name[size], flush=True)
    record = {
        "command": f"python benchmarks/speed/recording.py RESULTS {Path(args.text).name}",
        "machine": {"processor": cpu_name(), "versions": package_versions()},
        "sizes": sizes_by_name,
    }
    args.results.mkdir(parents=True, exist_ok=True)
    (args.results / "recording.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
