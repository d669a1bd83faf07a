"""Fit how hard a text is from its 5-gram baseline, and how far texts stray from the scaling law.

    python benchmarks/plan/difficulty.py [LAW_ERRORS]

Reads the runs of `law_errors.py` (benchmarks/results/improve/law_errors.jsonl) on texts that the
law was not fitted to. The difficulty of a text is what a run reached over what the law expects of
as many steps with a difficulty of 1. Prints the line through the logarithm of difficulty over
5-gram baseline (`DIFFICULTY_PER_FIVE_GRAM`, `DIFFICULTY_POWER`), and the error of each text when it
is left out of that fit. Their root mean square is the `text_deviation` of the law. Beside it stands
the error with the geometric mean of unigram and trigram baseline.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from descend.planner.corpus_profile import MIDDLE_COUNTED_BYTES

RESULTS = Path(__file__).parents[1] / "results/improve/law_errors.jsonl"


class TextRun(NamedTuple):
    """A run on one text, in logarithms."""

    text: str
    size: float
    """Of the text that was counted, over `MIDDLE_COUNTED_BYTES`."""
    per_five_gram: float
    """Difficulty over the 5-gram baseline."""
    per_trigram: float
    """Difficulty over the geometric mean of unigram and trigram baseline."""


def read_runs(path: Path = RESULTS) -> list[TextRun]:
    """Read the runs that are stored with the 5-gram baseline of their text."""
    runs = []
    for line in path.read_text("utf-8").splitlines():
        row = json.loads(line)
        if "five_gram" not in row:
            continue
        difficulty = row["reached"] * row["difficulty"] / row["expected_for_steps_made"]
        runs.append(
            TextRun(
                row["text"],
                math.log(row["five_gram_bytes"] / MIDDLE_COUNTED_BYTES),
                math.log(difficulty / row["five_gram"]),
                math.log(difficulty / math.sqrt(row["unigram"] * row["trigram"])),
            )
        )
    return runs


def fit_line(runs: list[TextRun]) -> tuple[float, float]:
    """Return slope and intercept of `per_five_gram` over `size`."""
    slope, intercept = np.polyfit([r.size for r in runs], [r.per_five_gram for r in runs], 1)
    return float(slope), float(intercept)


def leave_out_errors(runs: list[TextRun]) -> list[tuple[float, float]]:
    """Return of each run the error when it is left out: by 5-grams, and by trigrams."""
    errors = []
    for run in runs:
        others = [r for r in runs if r.text != run.text]
        slope, intercept = fit_line(others)
        errors.append((
            run.per_five_gram - intercept - slope * run.size,
            run.per_trigram - float(np.mean([r.per_trigram for r in others])),
        ))  # fmt: skip
    return errors


def root_mean_square(values: list[float]) -> float:
    """Return the root of the mean of the squares."""
    return float(np.sqrt(np.mean(np.square(values))))


def main() -> None:
    """Print the fit, and the error of each text left out of it."""
    runs = read_runs(Path(sys.argv[1]) if len(sys.argv) > 1 else RESULTS)
    slope, intercept = fit_line(runs)
    print(
        f"{len(runs)} texts: {math.exp(intercept):.3f} times the 5-gram baseline, power {slope:.3f}"
    )
    errors = leave_out_errors(runs)
    for run, (five_gram, trigram) in zip(runs, errors, strict=True):
        print(f"{run.text:20} {five_gram:+.3f}   by trigrams {trigram:+.3f}")
    for name, column in (("5-grams", 0), ("trigrams", 1)):
        print(f"root mean square, {name:8} {root_mean_square([e[column] for e in errors]):.4f}")


if __name__ == "__main__":
    main()
