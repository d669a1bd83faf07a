"""Train a text for so many minutes of CPU time: `train --minutes` against the default recipe.

    python benchmarks/improve/cpu_minutes.py RESULTS TEXT BYTES MINUTES ...

The clock of the package is replaced by the CPU time of this process, which has one thread. So a
machine that is shared does not decide the result. With MINUTES `default` the default recipe is
trained, as long as it takes. A line of RESULTS (cpu_minutes.jsonl) is a run.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
time.perf_counter = time.process_time  # before the package takes hold of it

from descend import run  # noqa: E402


def train_once(text: Path, num_bytes: int, minutes: str) -> dict[str, object]:
    """Train, and return what was predicted and reached."""
    with tempfile.TemporaryDirectory() as scratch:
        part, folder = Path(scratch) / text.name, Path(scratch) / "run"
        part.write_text(text.read_bytes()[:num_bytes].decode("utf-8", "ignore"), "utf-8")
        keys: dict[str, object] = {} if minutes == "default" else {"minutes": float(minutes)}
        began = time.process_time()
        model = run({"corpus_dir": str(part), "save_dir": str(folder), "log_level": "error",
                     "compile": "off", "threads": 1, **keys})  # fmt: skip
        spent = time.process_time() - began
        plan = folder / "plan.json"
        predicted = json.loads(plan.read_text())["predicted"] if plan.exists() else {}
        resolved, summary = model.info.resolved_config, model.summary
    sizes = ("vocab_size", "embed_dim", "num_layers", "batch_size", "seq_len", "max_steps", "epoch")
    return {
        "text": text.stem, "bytes": num_bytes, "minutes": minutes, "cpu_seconds": round(spent, 1),
        "predicted": predicted.get("bits_per_byte"), "bits_per_byte": summary.bits_per_byte,
        "curve": [round(e.bits_per_byte, 4) for e in summary.epochs],
        "epochs_made": summary.num_epochs, **{k: resolved[k] for k in sizes},
    }  # fmt: skip


def main() -> None:
    """Run what the command line names."""
    results, text, num_bytes, *minutes_list = sys.argv[1:]
    for minutes in minutes_list:
        line = train_once(Path(text), int(num_bytes), minutes)
        with Path(results).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        print(line, flush=True)


if __name__ == "__main__":
    main()
