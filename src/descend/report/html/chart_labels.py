"""Where the words in a figure stand, so that none covers another at any width of the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

NARROWEST_PLOT = 280.0
"""CSS pixels of the narrowest plot: a telephone of 390, less its margins and an axis."""

CHARACTER_WIDTH = 7.0
"""CSS pixels of a character at 11 pixels, in a wide font."""

MAX_ROWS = 4
"""Rows of words above a plot."""

CROWDED = 0.12
"""Part of the height of a plot that two rows of words need."""

Point = tuple[float, float]


@dataclass(frozen=True)
class MarkLabel:
    """The row above the plot in which a vertical line is named, 0 the lowest, and to which side."""

    row: int
    """-1: no row is free, so the line has no words."""
    is_left: bool


def place_mark_labels(
    marks: Sequence[tuple[str, float]], low: float, high: float
) -> list[MarkLabel]:
    """Place the name of each (name, x) on an axis from `low` to `high`.

    Reckoned for the narrowest plot; on a wider one the marks only move apart.
    """
    spans: list[tuple[int, float, float]] = []
    labels = []
    for name, x in marks:
        width = CHARACTER_WIDTH * len(name) + 8
        start = NARROWEST_PLOT * (x - low) / ((high - low) or 1.0)
        is_left = start + width > NARROWEST_PLOT
        start -= width if is_left else 0.0
        taken = {row for row, first, last in spans if first < start + width and start < last}
        row = next((r for r in range(MAX_ROWS) if r not in taken), -1)
        spans.append((row, start, start + width))
        labels.append(MarkLabel(row, is_left))
    return labels


def place_level_labels(levels: Sequence[float], points: Sequence[Point], log: bool) -> list[str]:
    """Return the ECharts position of the words of each horizontal line.

    They stand at the end from which the `points` (sorted by x) keep further away. Of two lines
    close to each other, the higher has its words above it, the lower below.
    """

    def height(y: float) -> float:
        return math.log10(y) if log and y > 0 else y

    half = (points[0][0] + points[-1][0]) / 2
    heights = [height(y) for y in (*levels, *(y for _, y in points))]
    reach = max(heights) - min(heights)

    def gap(y: float, late: bool) -> float:
        return min((abs(b - y) for a, b in points if (a > half) is late), default=math.inf)

    def position(y: float) -> str:
        end = "Start" if gap(y, late=True) < gap(y, late=False) else "End"
        is_crowded = any(0 < height(x) - height(y) < CROWDED * reach for x in levels)
        return f"inside{end}{'Bottom' if is_crowded else 'Top'}"

    return [position(y) for y in levels]


@dataclass(frozen=True)
class LegendEntry:
    """A name with the color (of report.css) and the shape that the figure draws it in."""

    name: str
    colour: str
    shape: Literal["line", "dots", "area"]


def legend_entries(option: dict[str, Any]) -> list[LegendEntry]:
    """Return the named lines and fields of a figure, each name once.

    The page writes them above the figure, where they wrap at any width.
    """
    entries: dict[str, LegendEntry] = {}
    for series in option["series"]:
        name, colour = series["name"], series.get("itemStyle", {}).get("color", "")
        if not name or series["type"] != "line" or name in entries:
            continue
        shape: Literal["line", "dots", "area"] = "line"
        if "markArea" in series:
            shape = "area"
        elif series["lineStyle"].get("width") == 0:
            shape = "dots"
        entries[name] = LegendEntry(name, colour.removeprefix("@"), shape)
    return list(entries.values())
