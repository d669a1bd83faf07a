"""Numbers as logs write them, also those no computer can hold."""

from __future__ import annotations

import math
import re

MAX_LOSS = 1e9
"""A loss above it counts as infinite: sums of such numbers leave what floats hold, and no loss that
can still be trained on is so large."""
MAX_POSITION = 1e15
"""Steps above it are no steps: a time in nanoseconds, or a slip."""

MARKS = " \"'▲▼△▽↑↓⬆⬇✓✔★*"
"""Signs that a console sets around a number: quotes, and arrows or marks for better and worse."""
_SPECIAL_DECIMAL = re.compile(r"^([-+]?(?:nan|inf))\.0+$", re.IGNORECASE)
"""What a progress bar makes of a value that is no number when it pads its digits: `nan.0`."""

MISSING = frozenset({"", "n/a", "na", "no log", "-", "--", "—"})


def number(value: object) -> float | None:
    """Return a number, also where it is written as text; None for what is none, an empty cell say.

    One too large for a float is infinity.
    """
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return _of_number(value)
    if isinstance(value, str):
        return _of_text(value)
    if isinstance(value, list) and len(value) == 1:
        return number(value[0])
    return None


def _of_number(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _of_text(value: str) -> float | None:
    text = trim_special(value.strip().strip(MARKS).replace("−", "-"))
    if "," in text:
        head, *rest = text.split(",")
        if "." not in text and len(rest) == 1 and len(rest[0]) != 3:
            text = f"{head}.{rest[0]}"  # 3,14 as a spreadsheet of another country writes it
        elif len(rest) == 1 and len(head) == 1 and head == "0":
            text = f"{head}.{rest[0]}"
        else:
            text = text.replace(",", "")
    try:
        return float(text)
    except ValueError:
        return None


def trim_special(text: str) -> str:
    """Return `nan` or `inf` of `nan.0` or `inf.0`, any other text as it is."""
    match = _SPECIAL_DECIMAL.match(text)
    return match[1] if match else text


def loss_of(value: float) -> float:
    """Return a loss; infinity where it is too large to be reckoned with."""
    if math.isfinite(value) and abs(value) > MAX_LOSS:
        return math.copysign(math.inf, value)
    return value


def place_of(value: float | None) -> float | None:
    """Return a step or an epoch; None where it can be none."""
    if value is None or not math.isfinite(value) or not 0 <= value <= MAX_POSITION:
        return None
    return value
