"""Lines that name no loss, as in Karpathy's lectures: `250 val 10.9507` and `0/ 200000: 3.3221`."""

from __future__ import annotations

import re

from descend.loss_logs.column_names import Meaning
from descend.loss_logs.log_row import Pair
from descend.loss_logs.number_parsing import number

_VALUE = r"(\d+\.\d+|nan|inf)"
_BARE_LINE = re.compile(
    rf"^(\d+)[ :,|]+(train|val|valid|test)[ :=|]+{_VALUE}$|^(\d+)\s*/\s*(\d+): {_VALUE}$", re.I
)


def bare_line_pairs(text: str) -> tuple[list[Pair], list[str]] | None:
    """Step and loss of a line that holds nothing else, and its names; None for other lines."""
    line = _BARE_LINE.match(text)
    if line is None:
        return None
    step, split, value = line[1] or line[4], (line[2] or "").lower(), line[3] or line[6]
    pairs: list[Pair] = [
        (
            Meaning("step", None, 9, "bare"),
            float(step),
            number(line[5]) if line[5] else None,
            "",
        ),
        (Meaning("loss", None, 0, "loss"), float(value), None, split),
    ]
    return pairs, [split]
