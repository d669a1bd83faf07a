"""How soon the presets' networks, and a small one at three rates, memorize random tokens.

    python benchmarks/ranges/memorization.py RESULTS

Each is trained for some steps on the embedded corpus `python`, only so that there is a run, which
the probe of `descend diagnose` is then run on. Writes RESULTS/memorization.json; seconds are of
one thread of the machine it ran on, beside whatever else ran there.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from descend import run
from descend.diagnosis.memorization_check import check_memorization
from descend.diagnosis.run_context import load_run_context
from descend.presets import PRESETS

SMALL = {
    "embed_dim": 48, "num_heads": 2, "num_layers": 1, "ff_dim": 144, "max_seq_len": 64,
    "seq_len": 32, "batch_size": 16,
}  # fmt: skip
CASES: dict[str, dict[str, Any]] = {
    **{name: dict(keys) for name, keys in PRESETS.items()},
    **{f"small, rate {rate:g}": SMALL | {"learning_rate": rate} for rate in (3e-5, 0.001, 0.03)},
}
SHORT = {"corpus_dir": "python", "max_steps": 20, "epoch": 1, "precision": "float32", "threads": 1,
         "divergence_rollback": "off"}  # fmt: skip


def row(name: str, folder: Path) -> dict[str, Any]:
    """One network: the loss it came to, in how many updates, in what time."""
    run(CASES[name] | SHORT | {"save_dir": str(folder)})
    context = load_run_context(folder)
    began = time.monotonic()
    measurements, notes = check_memorization(context, math.inf)
    loss, steps = measurements.get("memorization_loss"), measurements.get("memorization_steps")
    return {
        "case": name, "learning_rate": max(s.learning_rate for s in context.steps),
        "vocab_size": context.shape.vocab_size, "seq_len": context.config.seq_len,
        "loss": loss and round(loss.value, 3), "steps": steps and int(steps.value),
        "notes": notes, "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip


def main() -> None:
    torch.set_num_threads(1)
    rows = []
    for name in CASES:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(row(name, Path(folder) / "run"))
        print(rows[-1], file=sys.stderr, flush=True)
    text = "[\n" + ",\n".join(json.dumps(r) for r in rows) + "\n]\n"
    (Path(sys.argv[1]) / "memorization.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
