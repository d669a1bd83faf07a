"""How well runs are forecast with other errors of the formula; nothing is trained.

    python benchmarks/forecast/errors.py CURVES OUT

The two errors that `fit.py` holds (of a validation loss, of a training loss) say how much each
counts against the prior. Each pair is cross-validated within CURVES, in three divisions into
folds: the order of the file and two drawn. Writes OUT/errors.md: the median error of the forecast
as a fraction of the loss, mean over the divisions, and how the error of a run (at most `MOST`)
differs from that with the first pair, with a standard error over runs, in points.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import fit
from curves import load

PAIRS = ((0.05, 0.06), (0.08, 0.06), (0.03, 0.06), (0.03, 0.07), (0.03, 0.08), (0.02, 0.06),
         (0.05, 0.1))  # fmt: skip
"""Nats of a validation loss and of a training loss; the first was chosen on 41 of the runs."""

ORDERS = (None, 1, 2)
"""Seeds of the divisions; None: as the file has them."""

MAX_ERROR = 0.1
"""Larger errors count as this in a mean: one run in thirty would decide it otherwise."""

OBSERVED = {0.25: "a quarter seen", 0.5: "half", 0.75: "three quarters", 1.0: "all; continued"}

Errors = dict[float, np.ndarray[Any, np.dtype[np.float64]]]


def errors_with(pair: tuple[float, float], records: list[dict[str, Any]]) -> Errors:
    """By share seen, the errors of each run, (divisions, runs), as shares of the loss."""
    fit.VALIDATION_ERROR, fit.TRAINING_ERROR = pair
    errors_by_share: dict[float, list[list[float]]] = {share: [] for share in OBSERVED}
    for seed in ORDERS:
        order = range(len(records)) if seed is None else (
            np.random.default_rng(seed).permutation(len(records))
        )  # fmt: skip
        rows = sorted(fit.cross([records[i] for i in order]), key=lambda row: row.case.number)
        for share, of_share in errors_by_share.items():
            of_share.append(
                [abs(r.value / float(r.case.truth[-1]) - 1) for r in rows if r.share == share]
            )
    return {share: np.array(rows) for share, rows in errors_by_share.items()}


def cell(errors: Errors, first: Errors, share: float) -> str:
    """Median error, and the difference to the first pair."""
    median = float(np.median(errors[share], axis=1).mean())
    capped = [np.minimum(of[share], MAX_ERROR).mean(axis=0) for of in (errors, first)]
    differences = capped[0] - capped[1]
    spread = float(differences.std(ddof=1)) / len(differences) ** 0.5
    if not differences.any():
        return f"{median:.2%}"
    return f"{median:.2%} ({100 * differences.mean():+.2f} ± {100 * spread:.2f})"


def main() -> None:
    records = load(Path(sys.argv[1]))
    lines = ["| error of a validation loss | of a training loss | " + " | ".join(OBSERVED.values())
             + " |", "|---|---|" + "---|" * len(OBSERVED)]  # fmt: skip
    first: Errors = {}
    for pair in PAIRS:
        errors = errors_with(pair, records)
        first = first or errors
        cells = [cell(errors, first, share) for share in OBSERVED]
        lines.append(f"| {pair[0]} | {pair[1]} | " + " | ".join(cells) + " |")
        print(lines[-1], flush=True)
    (Path(sys.argv[2]) / "errors.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
