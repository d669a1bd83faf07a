"""The series of a log: which values belong together, and which series are the curve."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from descend.loss_logs.column_names import BITS, Split
from descend.loss_logs.points import Point, same_value


class SeriesKey(NamedTuple):
    """What the values of one series have in common."""

    name: str
    split: Split | None
    word: str
    """The word that names the split."""
    has_step: bool
    """Whether its lines name a step."""
    rank: int
    """Of the name."""
    is_counted_to_total: bool
    """Whether its lines tell the total; means over an epoch stand in lines that do not."""
    writer: str
    """Which of several processes wrote it."""


Series = Mapping[SeriesKey, list[Point]]


def best_series(series: Series, splits: set[Split | None]) -> list[Point] | None:
    """Of the series of these splits the one that tells most of the curve."""
    candidates = [(k, p) for k, p in series.items() if k.split in splits and p]
    if not candidates:
        return None
    max_points = max(len(points) for _, points in candidates)
    enough = [(k, p) for k, p in candidates if 2 * len(p) > max_points or len(p) == max_points]
    return min(enough, key=_preference)[1]


def _preference(series: tuple[SeriesKey, list[Point]]) -> tuple[int, bool, int, int, str]:
    """Of several series the one with the smallest tells most: the likeliest name, a named split,
    the most points, the first process."""
    key, points = series
    return key.rank, key.split is None, -len(points), len(key.writer), key.writer


def with_final(series: Series, validation: list[Point] | None) -> list[Point] | None:
    """Return `validation` with what a closing line without a step says under the same name."""
    key = next((k for k, points in series.items() if points is validation), None)
    if validation is None or key is None:
        return validation
    end = max((p.order for p in validation), default=0)
    closing = key._replace(has_step=False, is_counted_to_total=False)
    final = series.get(closing, []) if key.has_step else []
    final = [
        p for p in final
        if p.order > end and not p.beside_training
        and not same_value(p.value, validation[-1].value)  # said again: the best so far
    ]  # fmt: skip
    for point in final:
        point.is_final = True
    return validation + final


def is_in_bits(series: Series, points: list[Point] | None) -> bool:
    """Return whether a series is logged in bits for a character, a byte or a word."""
    return any(
        p and points and p[-1] is points[-1] and key.name == BITS for key, p in series.items()
    )


def is_same_point(a: Point, b: Point) -> bool:
    """Return whether two points of one step say the same, also of another counter."""
    return same_value(a.value, b.value) and a.other_place == b.other_place
