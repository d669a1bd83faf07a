"""How much of the loss falls on rare tokens, by size of the vocabulary, on a small text.

    python benchmarks/ranges/rare_tokens.py RESULTS

One layer, 64 wide, context 64, 200 steps of 1,024 tokens, on 40 documents of the embedded corpus
`python`. Writes RESULTS/rare_tokens.json.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
from pathlib import Path

import numpy as np

from descend.config import make_config
from descend.diagnosis.corpus_metrics import RARE
from descend.metrics.loss_breakdown import rare_token_loss_fraction, token_losses
from descend.training.loop import train
from descend.training.training_run import create_run

BASE = {
    "corpus_dir": "python", "sample_size": 40, "embed_dim": 64, "num_heads": 4, "num_layers": 1,
    "ff_dim": 256, "max_seq_len": 64, "seq_len": 64, "batch_size": 16, "max_steps": 200,
    "precision": "float32", "divergence_rollback": "off",
}  # fmt: skip
VOCABULARIES = (512, 2048, 8192)
WINDOWS = 200


def row(size: int, folder: Path) -> dict[str, float]:
    """One vocabulary: what was requested, what the text gave, and how its run ended."""
    run = create_run(make_config(BASE | {"vocab_size": size}), folder / "run")
    for _ in train(run.state, run.plan):
        pass
    store = run.store
    validation_losses = token_losses(run.state.model, store.validation, 64, windows=WINDOWS)
    counts = np.bincount(np.asarray(store.train), minlength=store.tokenizer.vocab_size)
    size_in_bytes = store.tokenizer.byte_lengths[validation_losses.targets].sum()
    return {
        "asked": size,
        "vocab_size": store.tokenizer.vocab_size,
        "train_tokens": len(store.train),
        "loss": round(float(validation_losses.losses.mean()), 3),
        "bits_per_byte": round(
            float(validation_losses.losses.sum()) / math.log(2) / float(size_in_bytes), 3
        ),
        "rare_token_fraction": round(float((counts < RARE).mean()), 3),
        "rare_token_loss_fraction": round(
            rare_token_loss_fraction(validation_losses, counts, RARE), 3
        ),
    }


def main() -> None:
    rows = []
    for size in VOCABULARIES:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(row(size, Path(folder)))
        print(rows[-1], file=sys.stderr, flush=True)
    text = "[\n" + ",\n".join(json.dumps(r) for r in rows) + "\n]\n"
    (Path(sys.argv[1]) / "rare_tokens.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
