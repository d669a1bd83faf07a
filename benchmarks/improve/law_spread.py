"""How often the law's interval of 80 % holds runs of the product, and how far they stray beyond it.

    python benchmarks/improve/law_spread.py [RESULTS]

Reads what is stored under RESULTS (benchmarks/results): plan/summary.json (planned runs by steps),
improve/cpu_minutes.jsonl and improve/law_errors.jsonl (`train --minutes` by CPU time). Prints each
error, the share inside the interval that was printed then, and for texts below `MIN_FITTED_BYTES`
the deviation for each factor e that they are shorter: the root mean square of error over factor.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from descend.planner.scaling_law import MIN_FITTED_BYTES

TRAIN_FRACTION = 0.9
"""Of a text, without what is held out."""


class Error(NamedTuple):
    """A run against its prediction."""

    name: str
    train_bytes: float
    """Infinite where it is not stored: texts of 100 kB and more."""
    log_ratio: float
    """Of what was reached over what was predicted; above 0: the prediction was too low."""
    is_inside: bool | None


def read_errors(results: Path) -> Iterator[Error]:
    """All stored runs with a prediction."""
    for row in json.loads((results / "plan/summary.json").read_text())["rows"]:
        low, high = row["interval"]
        inside = low <= row["plan"] <= high
        name = f"plan {row['corpus']} {row['seconds']:.0f} s"
        yield Error(name, math.inf, math.log(row["plan"] / row["expected"]), inside)
    for name in ("cpu_minutes", "law_errors"):
        file = results / f"improve/{name}.jsonl"
        for text in file.read_text().splitlines() if file.exists() else ():
            line = json.loads(text)
            reached = line.get("reached", line.get("bits_per_byte"))
            if line["predicted"] is None:
                continue
            low, high = line.get("interval", (None, None))
            yield Error(
                f"{name} {line['text']} {line['bytes']}", TRAIN_FRACTION * line["bytes"],
                math.log(reached / line["predicted"]),
                None if low is None else low <= reached <= high,
            )  # fmt: skip


def main() -> None:
    """Print the table and what follows from it."""
    results = Path(sys.argv[1] if len(sys.argv) > 1 else "benchmarks/results")
    errors = list(read_errors(results))
    for error in errors:
        print(f"{error.name:45} {100 * math.expm1(error.log_ratio):+6.1f} %  {error.is_inside}")
    known = [e for e in errors if e.is_inside is not None]
    print(f"inside: {sum(bool(e.is_inside) for e in known)} of {len(known)}")
    for label, part in (
        ("within the fit", [e for e in errors if e.train_bytes >= MIN_FITTED_BYTES]),
        ("shorter texts", [e for e in errors if e.train_bytes < MIN_FITTED_BYTES]),
    ):
        if not part:
            continue
        mean = sum(e.log_ratio for e in part) / len(part)
        spread = math.sqrt(sum(e.log_ratio**2 for e in part) / len(part))
        print(f"{label}: {len(part)} runs, mean {mean:+.4f}, root mean square {spread:.4f}")
    factors = [
        e.log_ratio / math.log(MIN_FITTED_BYTES / e.train_bytes)
        for e in errors if e.train_bytes < MIN_FITTED_BYTES
    ]  # fmt: skip
    if factors:
        print(f"for each factor e: {math.sqrt(sum(f * f for f in factors) / len(factors)):.3f}")


if __name__ == "__main__":
    main()
