"""`descend improve` on the run that the guide begins with: what each change brought.

    python benchmarks/improve/guide_run.py RESULTS TEXTS FOLDERS [--minutes M]

TEXTS holds tinyshakespeare.txt; run folders go to FOLDERS. Writes RESULTS/guide_run.json: the
commands, what the run reached and what `--json` gives. That run is trained if it is not there.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

RUN = "old"
"""The preset, and the folder."""


def descend(*words: str) -> str:
    """The standard output of a command of descend."""
    done = subprocess.run(
        [sys.executable, "-m", "descend", *words], check=True, capture_output=True, text=True
    )
    return done.stdout


def main() -> None:
    """Train the run if it is not there, improve it, write down both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("texts", type=Path)
    parser.add_argument("folders", type=Path)
    parser.add_argument("--minutes", type=float, default=10.0)
    asked = parser.parse_args()
    text, results = (asked.texts / "tinyshakespeare.txt").resolve(), asked.results.resolve()
    asked.folders.mkdir(parents=True, exist_ok=True)
    train = ["train", text.name, "--preset", RUN, "--save-dir", RUN, "--json"]
    improve = ["improve", RUN, "--minutes", f"{asked.minutes:g}", "--json"]
    with chdir(asked.folders):
        if not (Path(RUN) / "summary.json").exists():
            shutil.copy(text, text.name)
            descend(*train)
        reached = json.loads((Path(RUN) / "summary.json").read_text())
        found = json.loads(descend(*improve))
    keys = ("validation_loss", "validation_accuracy", "bits_per_byte", "seconds")
    record = {
        "commands": [" ".join(["descend", *words]) for words in (train, improve)],
        "reached": {key: reached[key] for key in keys},
        "improvement": found,
    }
    results.mkdir(parents=True, exist_ok=True)
    target = results / "guide_run.json"
    target.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
