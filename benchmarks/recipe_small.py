"""Recipes compared at a small size, where a machine of two cores can afford many runs.

    python benchmarks/recipe_small.py RESULTS CORPUS SEEDS "epoch=3;epoch=6,token_dropout=0.15;…"

Both the text (its first 110,000 bytes) and the network (2 layers of 128, vocabulary 512: about 12
weights a token, as the guide's network has on a megabyte) are a tenth of the usual, so that what
repeating the text does shows in a tenth of the time squared. An arm is a list of settings. Each run
adds a line to RESULTS/runs.jsonl; the loss does not depend on how busy the machine is.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import torch

from descend.config import make_config
from descend.runs.events import Epoch
from descend.training.loop import train
from descend.training.training_run import create_run

BYTES = 110_000
SIZES = {
    "embed_dim": 128, "num_heads": 4, "num_layers": 2, "ff_dim": 512, "max_seq_len": 128,
    "seq_len": 64, "batch_size": 8, "vocab_size": 512, "precision": "bfloat16",
}  # fmt: skip


def run(text: Path, name: str, arm: str, seed: int) -> dict[str, object]:
    """The validation bits per byte of each epoch of one run."""
    keys = dict(pair.split("=") for pair in arm.split(","))
    torch.set_num_threads(1)
    training_run = create_run(
        make_config(SIZES | {"corpus_dir": str(text), "seed": seed} | keys), Path("none")
    )
    epochs = [r for records in train(training_run.state, training_run.plan) for r in records
              if isinstance(r, Epoch)]  # fmt: skip
    return {
        "corpus": name, "arm": arm, "seed": seed,
        "precision": training_run.plan.execution.precision,
        "bits_per_byte": [round(e.bits_per_byte, 4) for e in epochs],
        "training_loss": [round(e.loss_end, 4) for e in epochs],
    }  # fmt: skip


def main() -> None:
    results, corpus, seeds, arms = sys.argv[1:]
    whole = Path(corpus).read_bytes()[:BYTES].decode("utf-8", errors="ignore")
    file = Path(results) / "runs.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / Path(corpus).name
        text.write_text(whole, encoding="utf-8")
        for seed in map(int, seeds.split(",")):
            for arm in arms.split(";"):
                row = run(text, Path(corpus).stem, arm, seed)
                with file.open("a", encoding="utf-8") as lines:
                    lines.write(json.dumps(row) + "\n")
                print(row, flush=True)


if __name__ == "__main__":
    main()
