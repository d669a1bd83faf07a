"""Measure how many epochs the default recipe should train for on a small text.

    python benchmarks/improve/epochs.py RESULTS TEXT BYTES EPOCHS[:TOKEN_DROPOUT] ...

Each run trains the default recipe on the first BYTES of TEXT for EPOCHS. A line of RESULTS
(epochs.jsonl) holds bits per byte after each epoch and the CPU seconds of the run.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from descend import run


def measure_epochs(text: Path, num_bytes: int, epochs: int, dropout: float | None) -> dict:
    """Train once and return the curve."""
    with tempfile.TemporaryDirectory() as scratch:
        part = Path(scratch) / text.name
        part.write_text(text.read_bytes()[:num_bytes].decode("utf-8", "ignore"), "utf-8")
        keys = {} if dropout is None else {"token_dropout": dropout}
        began = time.process_time()
        model = run({"corpus_dir": str(part), "epoch": epochs, "log_level": "error",
                     "save_dir": str(Path(scratch) / "run"), **keys})  # fmt: skip
        spent = time.process_time() - began
        summary, resolved = model.summary, model.info.resolved_config
    return {
        "text": text.stem, "bytes": num_bytes, "epochs": epochs,
        "token_dropout": resolved["token_dropout"], "seed": resolved["seed"],
        "curve": [round(e.bits_per_byte, 4) for e in summary.epochs],
        "train_loss_end": round(summary.epochs[-1].loss_end, 3),
        "cpu_seconds": round(spent, 1),
    }  # fmt: skip


def main() -> None:
    """Run what the command line names."""
    results, text, num_bytes, *wanted = sys.argv[1:]
    for name in wanted:
        epochs, _, dropout = name.partition(":")
        line = measure_epochs(
            Path(text), int(num_bytes), int(epochs), float(dropout) if dropout else None
        )
        with Path(results).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        print(line, flush=True)


if __name__ == "__main__":
    main()
