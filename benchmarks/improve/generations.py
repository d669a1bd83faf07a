"""Models of the default recipe, of which each learns from those before it.

    python benchmarks/improve/generations.py RESULTS TEXT FOLDERS [--generations 2] [--teachers 2]
        [--seed 1] [--epoch N]

Trains the default recipe on TEXT, then so many models of it more, with other seeds on the same
split, and the latest `--teachers` models as teachers. Run folders go to FOLDERS and are kept: the
same command goes on. Each run adds one line to RESULTS: its teachers, and the bits per byte after
each epoch. Those do not depend on how busy the machine is, the seconds do.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from descend import load, run
from descend.runs.events import Epoch
from descend.runs.run_files import is_finished


def train_generation(
    text: Path, folder: Path, teachers: list[Path], seeds: tuple[int, int], epoch: int | None
) -> dict[str, object]:
    """Train one model, unless it is there; the line of it. `seeds`: of the run, of the split."""
    keys = {"corpus_dir": str(text), "save_dir": str(folder), "seed": seeds[0],
            "split_seed": seeds[1], "log_level": "error", "epoch": epoch}  # fmt: skip
    model = load(folder) if is_finished(folder) else run(keys, teachers=teachers or None)
    epochs = [r for r in model.records if isinstance(r, Epoch)]
    return {
        "text": text.stem, "seed": seeds[0], "teachers": [t.name for t in teachers],
        "bits_per_byte": [round(e.bits_per_byte, 4) for e in epochs],
        "train_loss": round(epochs[-1].loss_end, 4),
        "seconds": round(model.summary.seconds, 1),
        "load_average": round(os.getloadavg()[1], 1),
    }  # fmt: skip


def main() -> None:
    """Train the generations that are not there yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("text", type=Path)
    parser.add_argument("folders", type=Path)
    parser.add_argument("--generations", type=int, default=2)
    parser.add_argument("--teachers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epoch", type=int)
    options = parser.parse_args()
    models: list[Path] = []
    for number in range(options.generations + 1):
        folder = options.folders / f"{options.text.stem}_{options.seed}_{number}"
        teachers = models[-options.teachers :]
        seeds = (options.seed + number, options.seed)
        line = train_generation(options.text, folder, teachers, seeds, options.epoch)
        print(json.dumps(line), flush=True)
        with options.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        models.append(folder)


if __name__ == "__main__":
    main()
