"""Fit how hard a text is from its 5-gram baseline, and how far texts stray from the scaling law.

    python benchmarks/plan/difficulty.py [LAW_ERRORS]

Reads the runs of a minute and more of `law_errors.py` (benchmarks/results/improve/law_errors.jsonl)
on texts that the law was not fitted to. The difficulty of a text is that with which the law expects
what a run reached. Prints the line through the logarithm of difficulty over 5-gram baseline
(`DIFFICULTY_PER_FIVE_GRAM`, `DIFFICULTY_POWER`), and the error of each text when it is left out of
that fit. The `text_deviation` of the law is the one with which 80 % of these errors lie inside the
80 % interval. Beside it stands the error with the geometric mean of unigram and trigram baseline.
"""

from __future__ import annotations

import itertools
import json
import math
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from descend.planner.corpus_profile import MIDDLE_COUNTED_BYTES
from descend.planner.scaling_law import MIN_FITTED_BYTES, Z_80_PERCENT, unlearned_fraction

RESULTS = Path(__file__).parents[1] / "results/improve/law_errors.jsonl"
MIN_MINUTES = 1.0
"""Shorter runs tell more of what is not learned yet."""


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
    """Read the runs of a minute and more, on texts as long as those that the law was fitted to."""
    runs = []
    for line in path.read_text("utf-8").splitlines():
        row = json.loads(line)
        if row["minutes"] < MIN_MINUTES or row["bytes"] < MIN_FITTED_BYTES:
            continue
        tokens = row["steps_made"] * row["batch_size"] * row["seq_len"]
        unlearned = unlearned_fraction(tokens) * row["regularity"]
        times = (row["reached"] - unlearned) / (row["expected_for_steps_made"] - unlearned)
        difficulty = times * row["difficulty"]
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
    """Return slope and intercept of `per_five_gram` over `size`, by the medians of Theil and Sen: a
    text that is like no other does not bend the line."""
    slopes = [
        (a.per_five_gram - b.per_five_gram) / (a.size - b.size)
        for a, b in itertools.combinations(runs, 2)
        if a.size != b.size
    ]
    slope = float(np.median(slopes))
    return slope, float(np.median([r.per_five_gram - slope * r.size for r in runs]))


def leave_out_errors(runs: list[TextRun]) -> list[tuple[float, float]]:
    """Return of each run the error when it is left out: by 5-grams, and by trigrams."""
    errors = []
    for run in runs:
        others = [r for r in runs if r.text != run.text]
        slope, intercept = fit_line(others)
        errors.append((
            run.per_five_gram - intercept - slope * run.size,
            run.per_trigram - float(np.median([r.per_trigram for r in others])),
        ))  # fmt: skip
    return errors


def deviation_of(errors: list[float]) -> float:
    """Return the standard deviation of the normal distribution whose 80 % interval holds 80 % of
    `errors`: a text that is like no other does not widen all intervals."""
    return float(np.quantile(np.abs(errors), 0.8)) / Z_80_PERCENT


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
        print(f"deviation by {name:8} {deviation_of([e[column] for e in errors]):.4f}")


if __name__ == "__main__":
    main()
