"""Places from epochs that are rounded or name the epoch of many lines only, and places in words."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, pairwise


def spread_epochs(epochs: Sequence[float]) -> list[float] | None:
    """Return `epochs` with equal ones spread evenly up to the next; None if they tell no places.

    The Trainer rounds to two digits, so that many lines share one; they are still in order.
    """
    groups = [(value, len(list(same))) for value, same in groupby(epochs)]
    values = [value for value, _ in groups]
    if len(values) < 2 or any(b < a for a, b in pairwise(values)):
        return None
    if all(count == 1 for _, count in groups):
        return list(epochs)
    places: list[float] = []
    for index, (value, count) in enumerate(groups):
        if index + 1 < len(groups):
            gap = values[index + 1] - value
        else:
            gap = value - values[index - 1]
            max_count = max(count for _, count in groups)
            gap *= min(1.0, count / max_count)
        places += [value + gap * n / count for n in range(count)]
    return places


def format_place(place: float) -> str:
    """Return a step, an epoch, or their number, whole where it is."""
    return f"{place:,.0f}" if float(place).is_integer() else f"{place:,.6g}"
