"""`descend cure` on the run that the guide begins with: what each turn changed, and what it gained.

    python benchmarks/doctor/cured.py RESULTS TEXTS FOLDERS [--minutes M]

TEXTS holds tinyshakespeare.txt; run folders go to FOLDERS. Writes RESULTS/cured_old.json: the
commands, what the run reached and what `--json` gives. That run is trained if it is not there.
"""

from __future__ import annotations

import argparse
import json
import shutil
from contextlib import chdir
from pathlib import Path

from real_cases import descend

RUN = "old"
"""The preset, and the folder."""


def trained(text: Path) -> dict[str, float]:
    """What the run on `text` reached; it is made if it is not there."""
    if not (Path(RUN) / "summary.json").exists():
        shutil.copy(text, text.name)
        descend("train", text.name, "--preset", RUN, "--save-dir", RUN, "--json")
    summary = json.loads((Path(RUN) / "summary.json").read_text())
    keys = ("validation_loss", "validation_accuracy", "bits_per_byte", "seconds")
    return {key: summary[key] for key in keys}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("texts", type=Path)
    parser.add_argument("folders", type=Path)
    parser.add_argument("--minutes", type=float, default=15.0)
    asked = parser.parse_args()
    text, results = (asked.texts / "tinyshakespeare.txt").resolve(), asked.results.resolve()
    asked.folders.mkdir(parents=True, exist_ok=True)
    with chdir(asked.folders):
        reached = trained(text)
        words = ["cure", RUN, "--minutes", f"{asked.minutes:g}", "--json"]
        treatment = json.loads(descend(*words))
    train = f"descend train {text.name} --preset {RUN} --save-dir {RUN}"
    record = {
        "commands": [train, " ".join(["descend", *words])],
        "reached": reached,
        "treatment": treatment,
    }
    results.mkdir(parents=True, exist_ok=True)
    target = results / "cured_old.json"
    target.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
