"""The opponent: a search of twelve trials, and the other configurations, at each limit.

    python benchmarks/plan/search.py TEXTS OUT CORPORA LIMIT [SECONDS]

A random search in which the twelve draws are tried for a third of the limit, and the best four for
all of it (successive halving): stronger than twelve full trials for its cost. Trials are kept in
OUT/trials; with SECONDS it stops after the trial in which these are over, to be taken up again.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from corpora import corpus_file
from trial import trial
from trial_args import parse_trial_args

DRAWS = 12
NUM_FINALISTS = 4


def draw(pick: random.Random, small: bool) -> dict[str, Any]:
    """A sensible configuration, as a search space would give it."""
    width = pick.choice([64, 96, 128, 192, 256])
    seq_len = pick.choice([64, 128])
    return {
        "embed_dim": width, "num_heads": width // 32, "ff_dim": 4 * width,
        "num_layers": pick.choice([1, 2, 3, 4, 6]),
        "vocab_size": pick.choice([512, 1024, 2048] if small else [512, 1024, 2048, 4096]),
        "seq_len": seq_len, "max_seq_len": seq_len,
        "batch_size": max(1, pick.choice([256, 512, 1024, 2048]) // seq_len),
        "learning_rate": round(5e-4 * 12 ** pick.random(), 6),
        "dropout_rate": pick.choice([0.0, 0.1, 0.2] if small else [0.0]),
        "seed": 1,
    }  # fmt: skip


def draws(corpus: str) -> list[dict[str, Any]]:
    """The twelve of a corpus, the same at every limit."""
    rng = random.Random(f"plan-{corpus}")
    return [draw(rng, corpus == "austen_100k") for _ in range(DRAWS)]


def main() -> None:
    args = parse_trial_args()
    for corpus in args.corpora:
        text = corpus_file(corpus, args.texts, args.out / "texts")
        first = []
        for values in draws(corpus):
            if args.is_over:
                return
            first.append(trial(args.trials, corpus, text, values, round(args.limit / 3, 1)))
            show(first[-1])
        first.sort(key=lambda r: r["bits_per_byte"])
        for better in first[:NUM_FINALISTS]:
            if args.is_over:
                return
            show(trial(args.trials, corpus, text, better["values"], args.limit))


def show(r: Any) -> None:
    """A trial in a line."""
    v = r["values"]
    print(
        f"{r['corpus']} {r['seconds']:g} s  {r['bits_per_byte']:.4f}  {v.get('num_layers')} layers "
        f"of {v.get('embed_dim')}, vocabulary {r['vocab_size']}, {r['steps']} steps of "
        f"{v.get('batch_size')}x{v.get('seq_len')}, rate {v.get('learning_rate')}, "
        f"{r['num_epochs']:.2f} passes",
        flush=True,
    )


if __name__ == "__main__":
    main()
