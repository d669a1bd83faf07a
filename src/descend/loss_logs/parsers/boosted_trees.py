"""CatBoost's lines, `100: learn: 0.16 test: 0.14 best: 0.14 (100)`, whose metric has no name.

It may be a loss or a score. `best` tells which: the lowest test value so far is of a loss.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_ITERATION = re.compile(
    r"^\s*(?P<step>\d+):\s+learn: (?P<train_loss>\S+)"
    r"(?:\s+test: (?P<validation_loss>\S+)\s+best: (?P<best>\S+) \(\d+\))?\s+total: "
)


class BoostedTrees:
    """Reads such lines, if those at the beginning of the log show that the metric is a loss."""

    def __init__(self, head: Iterable[str]) -> None:
        matches = [match for text in head if (match := _ITERATION.match(text)) is not None]
        best = [float(match["best"]) for match in matches if _is_number(match["best"])]
        self.num_lines = len(matches)
        self.is_loss = len(best) > 1 and best[-1] < best[0]
        self.is_score = len(best) > 1 and best[-1] > best[0]

    def cells(self, text: str) -> dict[str, str] | None:
        """Return the named numbers of a line; None if it is none of these, or of no loss."""
        match = _ITERATION.match(text) if self.is_loss else None
        if match is None:
            return None
        names = ("step", "train_loss", "validation_loss")
        return {name: match[name] for name in names if match[name] is not None}

    def describe(self) -> str:
        """Return what the numbers are where they are no losses; empty for other logs."""
        if not self.num_lines or self.is_loss:
            return ""
        if self.is_score:
            return "a score of CatBoost, whose best test value is the highest"
        return "a metric of CatBoost without a name, which may be a loss or a score"


def _is_number(text: str | None) -> bool:
    try:
        return text is not None and float(text) == float(text)
    except ValueError:
        return False
