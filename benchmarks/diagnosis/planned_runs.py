"""Does what a diagnosis recommends lower the loss? Asked of runs that are as good as planned.

    python benchmarks/diagnosis/planned_runs.py TEXTS FOLDER [--minutes 1] [--size N …]
        [--source CHECKOUT]

TEXTS holds the four public-domain books, of which slices are trained by `descend train --minutes`
on one core. Each run is diagnosed with the code of CHECKOUT (this one if it is left out), and where
that recommends a change, the run is made again with it. FOLDER keeps the runs, so that two versions
are asked about the same ones. Nothing is wrong with these runs, so each change that is named with
most of the probability should lower the loss. What stands in the results is not run again.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT / "src"), str(HERE.parent)]

from result_files import append_row  # noqa: E402

RESULTS = ROOT / "benchmarks/results/diagnosis/planned_runs.csv"
COLUMNS = ("text", "bytes", "commit", "run", "verdict", "sure", "change", "fixed")
BOOKS = ("moby_dick", "pride_and_prejudice", "quijote", "tinyshakespeare")
SIZES = (60_000, 150_000, 300_000)


def call(source: Path, *words: str) -> None:
    """Run `descend` of a checkout; what it says is printed where it fails."""
    path = {"PYTHONPATH": str(source / "src"), "COLUMNS": "200", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "descend", *words], capture_output=True, text=True,
        env=os.environ | path,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}: {done.stderr[-500:]}")


def loss(run: Path) -> float:
    """Bits per byte of a run on its validation text."""
    return round(json.loads((run / "summary.json").read_text())["bits_per_byte"], 3)


def train(text: Path, folder: Path, minutes: float) -> Path:
    """The planned run on `text`, made if it is not there."""
    run = folder / f"run_{text.stem}"
    if not (run / "summary.json").exists():
        call(ROOT, "train", str(text), "--minutes", str(minutes), "--save-dir", str(run))
    return run


def ask(run: Path, source: Path, commit: str) -> dict[str, object]:
    """The verdict of a checkout on `run`, and what the run is with the change that it names."""
    call(source, "diagnose", str(run))
    diagnosis = json.loads((run / "diagnosis.json").read_text())
    change = next((c["recommended_config"] for c in diagnosis["causes"]), {})
    answer = {"verdict": diagnosis["verdict"], "sure": diagnosis["probability"]}
    if not change or diagnosis["verdict"] in ("unknown", "healthy"):
        return answer | {"change": "", "fixed": ""}
    fixed = run.with_name(f"{run.name}_{commit}")
    if not (fixed / "summary.json").exists():
        call(source, "train", "--from-run", str(run), "--apply-fix", "--save-dir", str(fixed))
    said = " ".join(f"{key}={value}" for key, value in change.items())
    return answer | {"change": said, "fixed": loss(fixed)}


def main() -> None:
    """Ask about the runs that are missing in the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("texts", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--size", type=int, nargs="*", default=SIZES, help="bytes of each book")
    parser.add_argument("--source", type=Path, default=ROOT)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    commit = subprocess.run(
        ["git", "rev-parse", "--short=8", "HEAD"], cwd=options.source, capture_output=True,
        text=True, check=True,
    ).stdout.strip()  # fmt: skip
    known = set()
    if RESULTS.exists():
        with RESULTS.open(encoding="utf-8") as lines:
            known = {(row["text"], row["bytes"], row["commit"]) for row in csv.DictReader(lines)}
    for size in options.size:
        for book in BOOKS:
            if (book, str(size), commit) in known:
                continue
            text = options.folder / f"{book}_{size}.txt"
            whole = (options.texts / f"{book}.txt").read_bytes()
            text.write_bytes(whole[:size].decode("utf-8", "ignore").encode())
            run = train(text, options.folder, options.minutes)
            row = {"text": book, "bytes": size, "commit": commit, "run": loss(run)}
            row |= ask(run, options.source, commit)
            append_row(RESULTS, COLUMNS, row)
            print(row, flush=True)


if __name__ == "__main__":
    main()
