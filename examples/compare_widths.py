"""Compare two widths with paired seeds.

python examples/compare_widths.py my/texts
"""

from __future__ import annotations

import sys

from descend import compare


def main() -> None:
    """Train both widths on the text that the command line names, and say which is better."""
    text = sys.argv[1] if len(sys.argv) > 1 else "stories"
    comparison = compare(
        {"num_layers": 1, "num_heads": 2, "ff_dim": 64, "seq_len": 32, "batch_size": 8},
        corpus_dir=text,
        vary={"embed_dim": [16, 32]},
        budget=10_000,
        seeds=2,
    )
    print(comparison.sentence)


if __name__ == "__main__":
    main()
