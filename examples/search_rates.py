"""Search for a learning rate and a width within a time limit.

pip install 'descend[search]'
python examples/search_rates.py my/texts 5
"""

from __future__ import annotations

import sys

from descend import search


def main() -> None:
    """Search on the text and for the minutes that the command line names."""
    text = sys.argv[1] if len(sys.argv) > 1 else "stories"
    minutes = float(sys.argv[2]) if len(sys.argv) > 2 else 5.0
    result = search(
        {"num_layers": 1, "num_heads": 2, "ff_dim": 64, "seq_len": 32, "batch_size": 8},
        corpus_dir=text,
        minutes=minutes,
        over={"learning_rate": (0.0003, 0.01), "embed_dim": [32, 64]},
        match="tokens",
        budget=10_000,
        seeds=2,
    )
    print(result.sentence)
    print(result.train_command)


if __name__ == "__main__":
    main()
