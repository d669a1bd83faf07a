"""The two log checkers that can be installed, run on the same runs.

    python -m venv OTHER && OTHER/bin/pip install runmedic==0.1.1 trainproof==0.22.0
    python benchmarks/diagnosis/log_tools.py RESULTS FOLDERS OTHER/bin [--split SPLIT]

Each is given what it reads: a CSV of step, loss, validation loss, rate and gradient norm. Its first
finding above a remark is mapped to the nearest of our causes; no finding is `healthy`.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from table import Diagnosed, add_split_option, append, read

from descend.runs.event_log import read_events
from descend.runs.events import Epoch, Step

COLUMNS = ("step", "train_loss", "val_loss", "lr", "grad_norm")

# What each finding of the two advises against, by their own words of its likely cause.
MEANING = {
    "non_finite": "diverged", "divergence": "learning_rate_too_high",
    "loss_spikes": "learning_rate_too_high", "grad_spikes": "learning_rate_too_high",
    "no_learning": "learning_rate_too_low", "overfitting": "too_little_data",
    "constant_lr_plateau": "bad_schedule", "val_below_train": "data_leakage",
    "TP-NAN": "diverged", "TP-NAN-GRAD": "diverged", "TP-DIVERGE": "learning_rate_too_high",
    "TP-GRAD-SPIKE": "learning_rate_too_high", "TP-FLAT": "learning_rate_too_low",
    "TP-DEAD-RUN": "learning_rate_too_low", "TP-ZERO-LR": "bad_schedule",
    "TP-ZERO-LR-PARTIAL": "bad_schedule", "TP-OVERFIT": "too_little_data",
    "TP-ZERO-GRAD": "bad_initialization", "TP-ZERO-LOSS": "data_leakage",
}  # fmt: skip


def write_log(folder: Path, file: Path) -> None:
    """The run in `folder` as the CSV that both read."""
    events = read_events(folder)
    validation = {e.step: e.validation_loss for e in events if isinstance(e, Epoch)}
    steps = [e for e in events if isinstance(e, Step)]
    with file.open("w", encoding="utf-8", newline="") as opened:
        table = csv.writer(opened)
        table.writerow(COLUMNS)
        for n, step in enumerate(steps, 1):
            row = (n, step.loss, validation.get(n), step.learning_rate, step.gradient_norm)
            table.writerow("" if cell is None else cell for cell in row)


def run_json(command: list[str]) -> Any:
    """What a program says as JSON; nothing where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return json.loads(done.stdout) if done.stdout.strip() else []


def runmedic(programs: Path, log: Path) -> list[str]:
    runs = run_json([str(programs / "runmedic"), "diagnose", str(log), "--json"])
    return [f["check"] for run in runs for f in run["findings"] if f["severity"] != "info"]


def trainproof(programs: Path, log: Path) -> list[str]:
    result = run_json(
        [str(programs / "trainproof"), "epoch", str(log), "--format", "csv", "--json"]
    )
    reports = result["reports"] if result else []
    return [f["id"] for r in reports for f in r["findings"] if f["level"] in ("WARN", "FAIL")]


READERS = (("runmedic 0.1.1", runmedic), ("trainproof 0.22.0", trainproof))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("folders", type=Path)
    parser.add_argument("programs", type=Path)
    add_split_option(parser)
    args = parser.parse_args()
    table = args.results / f"verdicts-{args.split}.jsonl"
    rows = read(table, Diagnosed)
    done = {(d.case, d.reader) for d in rows}
    with tempfile.TemporaryDirectory() as scratch:
        log = Path(scratch) / "log.csv"
        for case in dict.fromkeys(d.case for d in rows):
            write_log(args.folders / case, log)
            for name, reader in READERS:
                if (case, name) not in done:
                    reading = reader(args.programs, log)
                    causes = list(dict.fromkeys(MEANING[f] for f in reading if f in MEANING))
                    append(table, Diagnosed(
                        case=case, reader=name, verdict=causes[0] if causes else "healthy",
                        ranked=causes, probabilities=[], recommended_config={}, seconds=0.0,
                        run_seconds=0.0,
                    ))  # fmt: skip


if __name__ == "__main__":
    main()
