"""Compare configurations on all GPUs of this machine, one trial on each.

pip install 'descend[ray]'
python examples/several_gpus.py my/texts

Ray gives each trial a GPU of its own. With fewer than two GPUs the trials run on this machine
without Ray, and the result is the same.
"""

from __future__ import annotations

import os
import sys

import torch

from descend import compare


def main() -> None:
    """Compare learning rates on the text that the command line names."""
    text = sys.argv[1] if len(sys.argv) > 1 else "stories"
    gpus = torch.cuda.device_count()
    if gpus > 1:
        os.environ.setdefault("RAY_ADDRESS", "local")
    print(f"{gpus} GPUs, trials with {'Ray' if 'RAY_ADDRESS' in os.environ else 'this process'}")
    comparison = compare(
        {"embed_dim": 16, "num_layers": 1, "num_heads": 2, "ff_dim": 64, "seq_len": 32},
        corpus_dir=text,
        vary={"learning_rate": [0.0003, 0.003]},
        budget=10_000,
        seeds=2,
    )
    print(comparison.sentence)


if __name__ == "__main__":
    main()
