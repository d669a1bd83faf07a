"""What the signals from inside a network read on sound runs and on ruined ones.

    python benchmarks/ranges/activations.py RESULTS

Two layers, 64 wide, context 64, 300 steps of 1,024 tokens of the embedded corpus `stories`; both
architectures and optimizers, their usual rates times a factor, without rollback; read on 32
validation passages, the entropies on the first. Writes RESULTS/activations.json. (The committed
file holds the largest score, not the largest in size: it was made before `sharpness` took sizes.)
"""

from __future__ import annotations

import json
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from descend.config import make_config
from descend.errors import DivergedError
from descend.metrics.activations import block_activation_stats
from descend.metrics.attention import max_attention_logit
from descend.training.loop import train
from descend.training.training_run import create_run

BASE: dict[str, Any] = {
    "corpus_dir": "stories", "embed_dim": 64, "num_heads": 4, "num_layers": 2, "ff_dim": 256,
    "max_seq_len": 64, "seq_len": 64, "batch_size": 16, "max_steps": 300, "vocab_size": 512,
    "precision": "float32", "divergence_rollback": "off",
}  # fmt: skip
RATES = {"muon": 0.001, "adamw": 0.003}
FACTORS = (1, 1 / 30, 10, 30, 100)
PASSAGES = 32
LAST = 20
"""Steps whose mean training loss is reported."""


def row(architecture: str, optimizer: str, factor: float, folder: Path) -> dict[str, Any]:
    """One run and what is read inside it, the values block by block."""
    own = {"architecture": architecture, "optimizer": optimizer,
           "learning_rate": RATES[optimizer] * factor}  # fmt: skip
    run = create_run(make_config(BASE | own), folder / "run")
    losses: list[float] = []
    with suppress(DivergedError):
        losses += [records[0].loss for records in train(run.state, run.plan)]  # type: ignore[union-attr]
    model, length = run.state.model, BASE["seq_len"]
    ids = np.asarray(run.store.validation[: PASSAGES * length]).astype(np.int64)
    blocks = block_activation_stats(model, ids.reshape(PASSAGES, length))
    logits = [max_attention_logit(model, passage) for passage in ids.reshape(PASSAGES, length)]
    return {
        "run": f"{architecture}, {optimizer}, rate x {factor:.3g}",
        "loss": round(float(np.mean(losses[-LAST:])), 2),
        "dead": [round(b.dead_unit_fraction, 2) for b in blocks],
        "effective_rank_fraction": [round(b.effective_rank, 1) for b in blocks],
        "largest_logit": round(max(logits), 1),
    }


def main() -> None:
    rows = []
    for architecture in ("modern", "gpt"):
        for optimizer in RATES:
            for factor in FACTORS:
                with tempfile.TemporaryDirectory() as folder:
                    rows.append(row(architecture, optimizer, factor, Path(folder)))
                print(rows[-1], file=sys.stderr, flush=True)
    text = "[\n" + ",\n".join(json.dumps(r) for r in rows) + "\n]\n"
    (Path(sys.argv[1]) / "activations.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
