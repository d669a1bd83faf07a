"""The memory that training takes at its peak against the estimate that is made before it.

    python benchmarks/reliability/memory_peak.py [--short] [--after N] [--minutes M] [--out FILE]

Each of 40 configurations, drawn by a seed, trains for over an epoch of 2 to 5 steps, so that the
best weights are there, and keeps a state to go back to every second step, with its moments. What is
freed goes back to the system, as where memory is short. (Where there is ample memory the process
keeps it, and takes more.) The peak is the highest resident memory (`VmHWM`, which Linux can set
back) less what was resident before it, but for the weights. The exit code is 1 if a peak is further
than 15 % from the estimate. The short form has 8 configurations.
"""

from __future__ import annotations

import ctypes
import gc
import os
import random
import shutil
import sys
from pathlib import Path
from typing import Any

from campaign_options import begin_within, make_parser
from stored import scratch_folder, store

MAX_ERROR = 0.15
NUM_CONFIGS, NUM_SHORT = 40, 8
NUM_WINDOWS, STORY_TOKENS = 80, {512: 330, 2048: 190}
"""Half of the windows are of the validation text: over the 32 that are evaluated at once."""
MIN_BYTES = 2**26
"""Smaller estimates are left out: there the blocks of the allocator decide."""
CHOICES: dict[str, tuple[Any, ...]] = {
    "architecture": ("gpt", "modern"), "embed_dim": (128, 256, 384), "num_layers": (2, 4, 6),
    "seq_len": (64, 128, 256), "batch_size": (8, 16, 32), "vocab_size": (512, 2048),
    "optimizer": ("adamw", "muon"), "dropout_rate": (0.0, 0.1),
    "activation_checkpointing": (False, True), "divergence_rollback": ("on", "off"),
    "gradient_accumulation_steps": (1, 2),
}  # fmt: skip
FIXED = {
    "corpus_dir": "stories", "max_steps": 7, "epoch": None, "validation_fraction": 0.5,
    "num_heads": 4, "max_seq_len": 256, "precision": "float32", "threads": 1, "compile": "off",
}  # fmt: skip


def read_kilobytes(name: str) -> int:
    """Return a field of /proc/self/status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def draw_configs(count: int) -> list[dict[str, Any]]:
    """Return `count` configurations, drawn by a seed."""
    pick = random.Random(0)
    draws = ({k: pick.choice(values) for k, values in CHOICES.items()} for _ in range(count))
    return [
        FIXED | keys | {"ff_dim": 4 * keys["embed_dim"], "sample_size": choose_sample_size(keys)}
        for keys in draws
    ]


def choose_sample_size(keys: dict[str, Any]) -> int:
    """Return how many stories have about `NUM_WINDOWS`."""
    return round(NUM_WINDOWS * keys["seq_len"] / STORY_TOKENS[keys["vocab_size"]])


def measure(keys: dict[str, Any], folder: Path) -> tuple[int, int]:
    """Return the estimate and the measured peak of a run, in bytes."""
    from descend.config import make_config
    from descend.model.cost import training_memory_breakdown
    from descend.training import process_settings, rollback
    from descend.training.trainer import run_training
    from descend.training.training_run import create_run

    process_settings.free_memory_bytes = lambda device: 0  # as where memory is short
    rollback.SNAPSHOT_EVERY_STEPS = 2
    run = create_run(make_config(keys), folder)
    estimate = training_memory_breakdown(run.plan.config, run.shape)
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    before = 1024 * read_kilobytes("VmRSS") - estimate.weights
    Path("/proc/self/clear_refs").write_text("5")  # sets VmHWM back
    for _ in run_training(run):
        pass
    peak = 1024 * read_kilobytes("VmHWM") - before
    shutil.rmtree(folder)
    return estimate.total, peak


def main() -> None:
    parser = make_parser(__doc__, short=f"{NUM_SHORT} configurations", has_parts=True)
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    configs = draw_configs(NUM_SHORT if arguments.short else NUM_CONFIGS)[arguments.after :]
    ratios: list[tuple[float, dict[str, Any]]] = []
    left_out = 0
    with scratch_folder() as place:
        measure(configs[0], place / "first")  # torch itself takes memory with its first run
        for keys in begin_within(arguments.minutes, configs):
            estimate, peak = measure(keys, place / "run")
            if estimate < MIN_BYTES:
                left_out += 1
                continue
            ratios.append((round(peak / estimate, 3), {k: keys[k] for k in CHOICES}))
            print(ratios[-1], estimate, peak, file=sys.stderr, flush=True)
    ratios.sort(key=lambda entry: entry[0])
    near = sum(abs(ratio - 1) <= MAX_ERROR for ratio, _ in ratios)
    store("memory_peak", {
        "planned": len(configs), "left_out": left_out, "total": len(ratios), "near": near,
        "median": ratios[len(ratios) // 2][0], "least": ratios[0], "most": ratios[-1],
    }, arguments.out)  # fmt: skip
    sys.exit(0 if near == len(ratios) else 1)


if __name__ == "__main__":
    if not sys.platform.startswith("linux"):
        sys.exit("not run: it needs Linux")
    main()
