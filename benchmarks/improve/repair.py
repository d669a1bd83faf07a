"""How many planted faults each method repairs in the same time: `improve` and a search.

    python benchmarks/improve/repair.py TEXTS FOLDERS [--seconds 60] [--faults 21]
                                        [--split SPLIT]
    python benchmarks/improve/repair.py --summary

The faults are those of a split of the diagnosis benchmark that a setting can repair, drawn by a
fixed seed. TEXTS holds the texts they are made of, FOLDERS gets the run folders. Of each fault the
run as planted and its twin without the fault are trained. Then each method gets so many seconds
from key press to saved model: `improve` of the run as planted, and TPE on its text in the space of
the contest. All models are scored on the same validation bytes. A method repairs a fault if it ends
within 2 % of the twin, or below. What stands in the results is not run again.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import random
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT / "src"), str(HERE), str(HERE.parent), str(HERE.parent / "diagnosis")]

from campaign import twin  # noqa: E402
from cases import PlantedRun, cases, config_values  # noqa: E402
from contest import best_folder, child_command, commit, train_in_child  # noqa: E402
from contest_score import score_folder  # noqa: E402
from corpora import SPLITS  # noqa: E402
from diagnose_cases import run_folder  # noqa: E402
from result_files import append_row  # noqa: E402
from score import IN_THE_TEXT, REPAIRED, wilson  # noqa: E402

from descend.errors import DescendError  # noqa: E402

RESULTS = ROOT / "benchmarks/results/improve/repair.csv"
METHODS = ("improve", "tpe")
COLUMNS = ("case", "seconds", "planted", "twin", *METHODS, *(f"{m}_seconds" for m in METHODS),
           "commit")  # fmt: skip
DRAW_SEED = 1
NOT_OF_SETTINGS = IN_THE_TEXT | {"noise_floor", "undertrained"}
"""Causes that no setting repairs in the same epochs, or that are no fault of the settings."""


def draw_faults(split: str, count: int) -> list[PlantedRun]:
    """`count` cases of `split` whose faults a setting repairs, by a fixed seed."""
    of_settings = [c for c in cases(split) if c.planted and not NOT_OF_SETTINGS & set(c.planted)]
    return random.Random(DRAW_SEED).sample(of_settings, count)


def run_method(
    method: str, case: PlantedRun, folder: Path, text: Path, seconds: float
) -> tuple[float | None, float]:
    """Bits per byte of the model of `method` after `seconds`, and the seconds it took."""
    is_improve = method == "improve"
    settings = [] if is_improve else [f"validation_fraction={_fraction(case, text)}"]
    part = {"arm": method, "seconds": seconds, "seed": case.values["seed"], "set": settings}
    with tempfile.TemporaryDirectory() as scratch:
        command = child_command(part, folder if is_improve else text, Path(scratch))
        wall = train_in_child(command, Path(scratch), part)
        return score(best_folder(Path(scratch, "model")), case, text), wall


def _fraction(case: PlantedRun, text: Path) -> float:
    return float(config_values(case, text.parent)["validation_fraction"])


def score(folder: Path, case: PlantedRun, text: Path) -> float | None:
    """Bits per byte of a model on the validation bytes of `case`; None for a diverged one."""
    settings = {"seed": case.values["seed"], "validation_fraction": _fraction(case, text)}
    with suppress(DescendError):
        bits = score_folder(folder, text, **settings).bits_per_byte
        return round(bits, 4) if math.isfinite(bits) else None
    return None


def measure_case(case: PlantedRun, texts: Path, folders: Path, seconds: float) -> dict[str, Any]:
    """The row of `case`: its losses, and the seconds of each method."""
    text = Path(config_values(case, texts)["corpus_dir"])
    healthy = replace(twin(case), name=f"{case.name}-twin")
    row: dict[str, Any] = {"case": case.name, "seconds": seconds, "commit": commit()}
    for name, run in (("planted", case), ("twin", healthy)):
        row[name] = score(run_folder(run, texts, folders), case, text)
    for method in METHODS:
        row[method], wall = run_method(method, case, folders / case.name, text, seconds)
        row[f"{method}_seconds"] = round(wall, 1)
    return row


def read_rows() -> list[dict[str, str]]:
    """The cases measured so far."""
    if not RESULTS.exists():
        return []
    with RESULTS.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def add(row: dict[str, Any]) -> None:
    """Append a case to the results."""
    append_row(RESULTS, COLUMNS, row)
    print(row, flush=True)


def summarize(rows: Sequence[dict[str, str]]) -> dict[str, Any]:
    """Repaired faults of each method, with a 95 % interval by Wilson's formula, and the median of
    the loss over the twin's."""
    losses = [
        {name: float(row[name] or "inf") for name in ("planted", "twin", *METHODS)} for row in rows
    ]
    faults = [x for x in losses if x["planted"] > (1 + REPAIRED) * x["twin"]]
    result: dict[str, Any] = {"faults": len(faults)}
    for method in METHODS:
        repaired = [x[method] <= (1 + REPAIRED) * x["twin"] for x in faults]
        ratio = statistics.median(x[method] / x["twin"] for x in faults)
        harmed = sum(x[method] > x["planted"] for x in faults)
        result[method] = {
            "repaired": sum(repaired), "ci95": wilson(repaired),
            "median_loss_over_twin": round(ratio, 3), "harmed": harmed,
        }  # fmt: skip
    return result


def main() -> None:
    """Measure what is missing, or print the summary."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("texts", type=Path, nargs="?")
    parser.add_argument("folders", type=Path, nargs="?")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--faults", type=int, default=21)
    parser.add_argument("--split", choices=SPLITS, default="development")
    parser.add_argument("--summary", action="store_true")
    options = parser.parse_args()
    if options.summary:
        for split in SPLITS:
            names = {case.name for case in cases(split)}
            if rows := [row for row in read_rows() if row["case"] in names]:
                print(json.dumps({split: summarize(rows)}, indent=1))
        return
    if options.folders is None:
        parser.error("name TEXTS and FOLDERS, or --summary")
    done = {row["case"] for row in read_rows()}
    for case in draw_faults(options.split, options.faults):
        if case.name not in done:
            add(measure_case(case, options.texts, options.folders, options.seconds))


if __name__ == "__main__":
    main()
