"""Measure how many epochs the default recipe should train for on a small text.

    python benchmarks/improve/epochs.py RESULTS TEXT BYTES[,BYTES…] EPOCHS[:TOKEN_DROPOUT] ...
        [--seeds 1,2] [--offset BYTES]

Each run trains the default recipe on BYTES of TEXT from the offset on, for EPOCHS. A line of
RESULTS holds bits per byte after each epoch and the CPU seconds of the run. A run that RESULTS
already holds is not made again.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from descend import run


def measure_epochs(
    text: Path, part: bytes, epochs: int, dropout: float | None, seed: int
) -> dict[str, object]:
    """Train once on `part` and return the curve."""
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / text.name
        file.write_text(part.decode("utf-8", "ignore"), "utf-8")
        keys = {} if dropout is None else {"token_dropout": dropout}
        began = time.process_time()
        # How to compute is set, so that no time goes into trying the machine.
        model = run({"corpus_dir": str(file), "epoch": epochs, "log_level": "error", "seed": seed,
                     "precision": "float32", "attention": "fused", "compile": "off", "threads": 1,
                     "save_dir": str(Path(scratch) / "run"), **keys})  # fmt: skip
        spent = time.process_time() - began
        summary, resolved = model.summary, model.info.resolved_config
    return {
        "token_dropout": resolved["token_dropout"], "vocab_size": resolved["vocab_size"],
        "train_tokens": model.info.corpus["train_tokens"], "steps": summary.epochs[-1].step,
        "curve": [round(e.bits_per_byte, 4) for e in summary.epochs],
        "bits_per_byte": round(summary.bits_per_byte, 4),
        "train_loss_end": round(summary.epochs[-1].loss_end, 3),
        "cpu_seconds": round(spent, 1),
    }  # fmt: skip


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("text", type=Path)
    parser.add_argument("bytes")
    parser.add_argument("epochs", nargs="+")
    parser.add_argument("--seeds", default="42")
    parser.add_argument("--offset", type=int, default=0)
    options = parser.parse_args()
    stored = []
    if options.results.exists():
        stored = [json.loads(line) for line in options.results.read_text("utf-8").splitlines()]
    whole = options.text.read_bytes()[options.offset :]
    arms = itertools.product(options.bytes.split(","), options.epochs, options.seeds.split(","))
    for size, name, seed in arms:
        epochs, _, dropout = name.partition(":")
        keys = {"text": options.text.stem, "offset": options.offset, "bytes": int(size),
                "arm": name, "seed": int(seed)}  # fmt: skip
        if any(keys.items() <= line.items() for line in stored):
            continue
        line = keys | measure_epochs(
            options.text, whole[: int(size)], int(epochs), float(dropout) if dropout else None,
            int(seed),
        )  # fmt: skip
        with options.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        print(line, flush=True)


if __name__ == "__main__":
    main()
