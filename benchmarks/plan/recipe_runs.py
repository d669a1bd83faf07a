"""Runs of the recipe on whole texts: what the scaling law of `descend plan` is updated by.

    python benchmarks/plan/recipe_runs.py RESULTS TEXT BYTES SEED key=value …

Trains the default recipe with the changes on the first BYTES of TEXT (0: all) in bfloat16 on one
thread, and adds one line to RESULTS (CSV): the settings, the bits per byte after each epoch, and
what the law has to know of the text. The loss does not depend on how busy the machine is.
"""

from __future__ import annotations

import csv
import os
import sys
import tempfile
from pathlib import Path

import torch

from descend.config import make_config
from descend.data.prepare import prepare_documents
from descend.model.cost import block_matrix_parameters
from descend.planner.corpus_profile import profile_corpus
from descend.runs.events import Epoch
from descend.training import loop
from descend.training.loop import train
from descend.training.training_run import create_run

STORED = (
    "embed_dim", "num_heads", "num_layers", "ff_dim", "vocab_size", "batch_size", "seq_len",
    "learning_rate", "token_dropout", "bpe_dropout", "dropout_rate", "weight_decay", "epoch",
)  # fmt: skip


def measure(text: Path, seed: int, changes: dict[str, str]) -> dict[str, object]:
    """The line of one run."""
    common = {"corpus_dir": str(text), "seed": seed, "precision": "bfloat16", "compile": "off",
              "threads": 1}  # fmt: skip
    config = make_config(common | changes)
    run = create_run(config, Path("none"))
    epochs = [r for records in train(run.state, run.plan) for r in records if isinstance(r, Epoch)]
    resolved, store = run.plan.config, run.store
    profile = profile_corpus(prepare_documents(config))
    return {
        "text": text.stem, "seed": seed,
        **{key: getattr(resolved, key) for key in STORED},
        "steps": run.state.step, "tokens": run.state.step * run.plan.batches.tokens_per_step,
        "train_tokens": len(store.train), "train_bytes": store.info.train_bytes,
        "text_difficulty": round(profile.difficulty, 5),
        "block_parameters": run.shape.num_layers * block_matrix_parameters(run.shape),
        "min_dropout_rate": loop.MIN_DROPOUT_RATE,
        "bits_per_byte": " ".join(f"{e.bits_per_byte:.4f}" for e in epochs),
    }  # fmt: skip


def main() -> None:
    results, source, num_bytes, seed, *pairs = sys.argv[1:]
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DESCEND_CACHE_DIR"] = str(Path(folder) / "cache")
        text = Path(source)
        if int(num_bytes):
            content = text.read_bytes()[: int(num_bytes)].decode("utf-8", errors="ignore")
            text = Path(folder) / text.name
            text.write_text(content, encoding="utf-8")
        row = measure(text, int(seed), dict(pair.split("=") for pair in pairs))
    row = {"bytes": int(num_bytes)} | row
    is_new = not Path(results).exists()
    with Path(results).open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, row, lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerow(row)
    print(row["bits_per_byte"])


if __name__ == "__main__":
    main()
