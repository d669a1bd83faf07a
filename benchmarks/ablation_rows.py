"""What each variant of the recipe's ablations is worth: in bits per byte, and in time to the same
loss.

Fewer bits at the end are turned into time by the recipe's own curve over its passes: a variant that
ends where the recipe would after p passes of n needs n / p as many passes for the same loss, each
as much longer or shorter as its steps are.
"""

from __future__ import annotations

import json
import math
import statistics
from itertools import pairwise
from pathlib import Path

from descend.experiments.estimate import estimate_mean

RECIPE, EPOCHS = "the recipe", 3

Pair = tuple[str, int]
Row = tuple[str, list[float], float]
"""A variant, its paired differences in bits per byte, and the time of its run over the recipe's."""


def rows(folder: Path, name: str) -> list[Row]:
    """The variants of the ablation `name` in `folder`, best first."""
    lines = (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    ends: dict[str, dict[Pair, float]] = {}
    steps: dict[str, dict[Pair, int]] = {}
    for r in map(json.loads, lines):
        ends.setdefault(r["variant"], {})[r["text"], r["seed"]] = r["bits_per_byte"][-1]
        steps.setdefault(r["variant"], {})[r["text"], r["seed"]] = r["steps"]
    times = json.loads((folder / f"{name}_times.json").read_text())["milliseconds"]
    table: list[Row] = []
    for variant, bits in ends.items():
        pairs = [pair for pair in bits if pair in ends[RECIPE]]
        longer = statistics.mean(steps[variant][p] / steps[RECIPE][p] for p in pairs)
        slower = [a / b for a, b in zip(times[variant], times[RECIPE], strict=True)]
        gains = [bits[p] - ends[RECIPE][p] for p in pairs]
        table.append((variant, gains, longer * statistics.median(slower)))
    return sorted(table, key=lambda row: statistics.mean(row[1]))


def curve(table: list[Row]) -> list[tuple[float, float]]:
    """(bits per byte against the recipe, logarithm of passes), falling."""
    known = {f"passes {n}": n for n in range(1, 2 * EPOCHS)} | {RECIPE: EPOCHS}
    points = [(statistics.mean(d), math.log(known[name])) for name, d, _ in table if name in known]
    return sorted(points, reverse=True)


def epochs_to_reach(bits: float, points: list[tuple[float, float]]) -> float:
    """Passes after which the recipe is `bits` above its loss; beyond the ends, the last slope."""
    for (above, fewer), (below, more) in pairwise(points):
        if bits >= below or (below, more) == points[-1]:
            return math.exp(fewer + (above - bits) / (above - below) * (more - fewer))
    raise ValueError("a curve has two points at least")


FURTHEST = 3.0
"""Times the last gain of the curve, up to which its last slope is followed below its end."""


def times_as_long(row: Row, points: list[tuple[float, float]]) -> tuple[float, float, float] | None:
    """Time to the recipe's loss over the recipe's own: least, middle and most (95 %); None where
    more passes hardly come so low, so that no time could be determined."""
    _, gains, share = row
    mean = estimate_mean(gains)
    low, high = mean.ci95 or (mean.value, mean.value)
    (before, _), (lowest, _) = points[-2:]
    if low < lowest - FURTHEST * (before - lowest):
        return None
    low_ratio, middle, high_ratio = (
        share * EPOCHS / epochs_to_reach(b, points) for b in (low, mean.value, high)
    )
    return low_ratio, middle, high_ratio
