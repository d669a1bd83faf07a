"""The speed benchmarks of a processor, one after the other; stop other programs first.

    python benchmarks/speed/run_all.py RESULTS TEXT [--rounds N]

Hours on two cores. Each script can be called by itself; most add to what RESULTS holds,
`first_step` and `generation` begin anew. Not among them: a gigabyte of text (`growth.py --megabytes
1000`), other texts, the profiles (`profile_step.py`, `step_seconds.py`, `products.py`), and
`gpu_backends.py`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("results")
    parser.add_argument("text")
    parser.add_argument("--rounds", default="3")
    args = parser.parse_args()
    rounds = ["--rounds", args.rounds]
    for script, arguments in {
        "tokens_per_second": rounds,
        "time_to_loss": [args.text, *rounds],
        "first_step": [args.text, *rounds],
        "generation": rounds,
        "tokenizing": [args.text, *rounds],
        "recording": [args.text],
        "growth": [args.text],
    }.items():
        file = Path(__file__).with_name(f"{script}.py")
        print(f"{script}:", flush=True)
        subprocess.run([sys.executable, file, args.results, *arguments], check=True)


if __name__ == "__main__":
    main()
