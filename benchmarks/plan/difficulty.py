"""Fit how much easier a text is that repeats itself, and how far texts stray from the scaling law.

    python benchmarks/plan/difficulty.py [LAW_ERRORS]

Reads the runs of `law_errors.py` (benchmarks/results/improve/law_errors.jsonl) on texts that the
law was not fitted to. Of each the error is the logarithm of what was reached over what the law
expects of as many steps, with the difficulty of unigrams and trigrams alone. Prints the line
through the errors over the logarithm of `compressed` in units of that difficulty, and the error of
each text when it is left out of the fit. Their root mean square is the `text_deviation` of the law.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

RESULTS = Path(__file__).parents[1] / "results/improve/law_errors.jsonl"


class TextError(NamedTuple):
    """How far a run on one text ended from the law."""

    text: str
    repeats: float
    """Logarithm of `compressed` over the geometric mean of unigram and trigram; low: it repeats."""
    error: float
    """Logarithm of bits per byte reached over expected, by that mean alone."""


def read_errors(path: Path) -> list[TextError]:
    """Read the runs that are stored with a profile of their text."""
    errors = []
    for line in path.read_text("utf-8").splitlines():
        row = json.loads(line)
        if "compressed" not in row:
            continue
        counted = math.sqrt(row["unigram"] * row["trigram"])
        repeats = math.log(row["compressed"] / counted)
        expected = row["expected_for_steps_made"] * counted / row["difficulty"]
        errors.append(TextError(row["text"], repeats, math.log(row["reached"] / expected)))
    return errors


def fit_line(errors: list[TextError]) -> tuple[float, float]:
    """Return slope and the `repeats` at which the line has no error."""
    slope, at_zero = np.polyfit([e.repeats for e in errors], [e.error for e in errors], 1)
    return float(slope), float(-at_zero / slope)


def main() -> None:
    """Print the fit, and the error of each text without and with it."""
    errors = read_errors(Path(sys.argv[1]) if len(sys.argv) > 1 else RESULTS)
    slope, zero = fit_line(errors)
    print(f"{len(errors)} texts: power {slope:.3f}, prose {math.exp(zero):.3f}")
    without = []
    for error in errors:
        others = [e for e in errors if e.text != error.text]
        own_slope, own_zero = fit_line(others)
        without.append(error.error - own_slope * (error.repeats - own_zero))
        print(
            f"{error.text:20} {math.exp(error.repeats):6.3f} {error.error:+.3f} {without[-1]:+.3f}"
        )
    for name, values in (("before", [e.error for e in errors]), ("left out", without)):
        print(f"{name:9} root mean square {math.sqrt(np.mean(np.square(values))):.4f}")


if __name__ == "__main__":
    main()
