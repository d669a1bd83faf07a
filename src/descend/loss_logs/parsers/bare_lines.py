"""Lines that name no loss.

Karpathy's lectures print `250 val 10.9507` and `0/ 200000: 3.3221`, and the tutorials of PyTorch
`0m 15s (- 7m 1s) (5000 5%) 2.8434` and `5000 5% (0m 10s) 2.6318 Bahar / Arabic`.
"""

from __future__ import annotations

import re

from descend.loss_logs.column_names import Meaning
from descend.loss_logs.log_row import Pair
from descend.loss_logs.number_parsing import number

_VALUE = r"(?P<loss>\d+\.\d+|nan|inf)"
_TIME = r"(?:\d+h )?\d+m \d+s"
_BARE_LINES = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"^(?P<step>\d+)[ :,|]+(?P<split>train|val|valid|test)[ :=|]+{_VALUE}$",
        rf"^(?P<step>\d+)\s*/\s*(?P<total>\d+): {_VALUE}$",
        rf"\b{_TIME}(?: \(- {_TIME}\))? \((?P<step>\d+) +\d+%\) {_VALUE}\]?$",
        rf"^(?P<step>\d+) \d+% \({_TIME}\) {_VALUE}\b",
    )
]


def bare_line_pairs(text: str) -> tuple[list[Pair], list[str]] | None:
    """Step and loss of a line that holds nothing else, and its names; None for other lines."""
    matches = (pattern.search(text) for pattern in _BARE_LINES)
    line = next((match for match in matches if match is not None), None)
    if line is None:
        return None
    groups = line.groupdict()
    split, total = (groups.get("split") or "").lower(), groups.get("total")
    pairs: list[Pair] = [
        (
            Meaning("step", None, 9, "bare"),
            float(groups["step"]),
            number(total) if total else None,
            "",
        ),
        (Meaning("loss", None, 0, "loss"), float(groups["loss"]), None, split),
    ]
    return pairs, [split]
