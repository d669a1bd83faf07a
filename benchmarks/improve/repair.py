"""How many planted faults each method repairs in the same time: `improve` and a search.

    python benchmarks/improve/repair.py TEXTS FOLDERS [--seconds 60] [--faults 16]
    python benchmarks/improve/repair.py --summary

The faults are those of the diagnosis benchmark's development split that a setting can repair, drawn
at random by a fixed seed. TEXTS holds the texts they are made of, FOLDERS gets the run folders. Of
each fault the run as planted and its twin without the fault are trained. Then each method gets so
many seconds from key press to saved model: `improve` of the run as planted, and TPE on its text in
the space of the contest. All models are scored on the same validation bytes. A method repairs a
fault if it ends within 2 % of the twin, or below. What stands in the results is not run again.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT / "src"), str(HERE), str(HERE.parent / "diagnosis")]

from campaign import twin  # noqa: E402
from cases import PlantedRun, cases, config_values  # noqa: E402
from contest import best_folder, child_command, commit, machine_facts  # noqa: E402
from contest_score import score_folder  # noqa: E402
from diagnose_cases import run_folder  # noqa: E402
from score import IN_THE_TEXT, REPAIRED, wilson  # noqa: E402

from descend.errors import DescendError  # noqa: E402

RESULTS = ROOT / "benchmarks/results/improve/repair.jsonl"
METHODS = ("improve", "tpe")
DRAW_SEED = 1
NOT_OF_SETTINGS = IN_THE_TEXT | {"noise_floor", "undertrained"}
"""Causes that no setting repairs in the same epochs, or that are no fault of the settings."""


def draw_faults(count: int) -> list[PlantedRun]:
    """`count` development cases whose faults a setting repairs, by a fixed seed."""
    of_settings = [
        c for c in cases(sealed=False) if c.planted and not NOT_OF_SETTINGS & set(c.planted)
    ]
    return random.Random(DRAW_SEED).sample(of_settings, count)


def run_method(method: str, case: PlantedRun, folder: Path, text: Path, seconds: float) -> Any:
    """The model of `method` after `seconds`, as a line of the results."""
    fraction = config_values(case, text.parent)["validation_fraction"]
    is_improve = method == "improve"
    settings = [] if is_improve else [f"validation_fraction={fraction}"]
    part = {"seconds": seconds, "seed": case.values["seed"], "set": settings}
    with tempfile.TemporaryDirectory() as scratch:
        words = child_command(part | {"arm": method}, folder if is_improve else text, Path(scratch))
        cache = {"DESCEND_CACHE_DIR": f"{scratch}/cache", "PYTHONPATH": str(ROOT / "src")}
        began = time.perf_counter()
        child = subprocess.run(
            words, capture_output=True, text=True, env=os.environ | cache, check=False
        )
        wall = time.perf_counter() - began
        line = {"case": case.name, "method": method, "seconds": seconds, "wall_seconds": wall}
        if child.returncode:
            return line | {"bits_per_byte": None, "error": child.stderr[-300:]}
        return line | {"bits_per_byte": score(best_folder(Path(scratch, "model")), case, text)}


def score(folder: Path, case: PlantedRun, text: Path) -> float | None:
    """Bits per byte of a model on the validation bytes of `case`; None for a diverged one."""
    settings = {
        "seed": case.values["seed"],
        "validation_fraction": config_values(case, text.parent)["validation_fraction"],
    }
    with suppress(DescendError):
        bits = score_folder(folder, text, **settings).bits_per_byte
        return bits if math.isfinite(bits) else None
    return None


def measure_case(
    case: PlantedRun, texts: Path, folders: Path, seconds: float, done: set[tuple[str, str]]
) -> None:
    """Add what is missing of `case` to the results."""
    text = Path(config_values(case, texts)["corpus_dir"])
    healthy = replace(twin(case), name=f"{case.name}-twin")
    for name, run in (("planted", case), ("twin", healthy)):
        if (case.name, name) not in done:
            began = time.perf_counter()
            bits = score(run_folder(run, texts, folders), case, text)
            add({"case": case.name, "method": name, "seconds": None, "bits_per_byte": bits,
                 "wall_seconds": time.perf_counter() - began})  # fmt: skip
    for method in METHODS:
        if (case.name, method) not in done:
            add(run_method(method, case, folders / case.name, text, seconds))


def add(line: dict[str, Any]) -> None:
    """Append a line to the results, with the commit and the machine."""
    line["wall_seconds"] = round(line["wall_seconds"], 1)
    facts = {"commit": commit(), "processor": machine_facts()["processor"]}
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line | facts) + "\n")
    print(line["case"], line["method"], line["bits_per_byte"], line["wall_seconds"], flush=True)


def summarize(lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Repaired faults of each method, with a 95 % interval by Wilson's formula, and the median of
    the loss over the twin's."""
    losses: dict[str, dict[str, float]] = {}
    for line in lines:
        bits = math.inf if line["bits_per_byte"] is None else line["bits_per_byte"]
        losses.setdefault(line["case"], {})[line["method"]] = bits
    faults = [
        row for row in losses.values()
        if set(METHODS) <= row.keys() and row["planted"] > (1 + REPAIRED) * row["twin"]
    ]  # fmt: skip
    result: dict[str, Any] = {"faults": len(faults)}
    for method in METHODS:
        repaired = [row[method] <= (1 + REPAIRED) * row["twin"] for row in faults]
        ratio = statistics.median(row[method] / row["twin"] for row in faults)
        harmed = sum(row[method] > row["planted"] for row in faults)
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
    parser.add_argument("--faults", type=int, default=16)
    parser.add_argument("--summary", action="store_true")
    options = parser.parse_args()
    lines = [json.loads(x) for x in RESULTS.read_text("utf-8").splitlines()] if RESULTS.exists() \
        else []  # fmt: skip
    if options.summary:
        print(json.dumps(summarize(lines), indent=1))
        return
    if options.folders is None:
        parser.error("name TEXTS and FOLDERS, or --summary")
    done = {(line["case"], line["method"]) for line in lines}
    for case in draw_faults(options.faults):
        measure_case(case, options.texts, options.folders, options.seconds, done)


if __name__ == "__main__":
    main()
