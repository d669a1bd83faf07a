"""Train on your own text, write a sample, and load the model again.

python examples/own_text.py my/texts
"""

from __future__ import annotations

import sys

from descend import load, run


def main() -> None:
    """Train a small model on the text that the command line names."""
    text = sys.argv[1] if len(sys.argv) > 1 else "stories"
    model = run(
        {
            "corpus_dir": text, "embed_dim": 64, "num_heads": 2, "num_layers": 2, "ff_dim": 192,
            "epoch": 1,
        }
    )  # fmt: skip
    print(model.predict("The", max_length=30))
    print(load(model.folder).predict("A", max_length=30))


if __name__ == "__main__":
    main()
