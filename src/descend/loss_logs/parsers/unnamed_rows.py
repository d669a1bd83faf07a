"""JSON whose rows are lists, not objects: the names stand elsewhere, or nowhere.

TensorBoard's download of one chart (`[wall time, step, value]`), the same by chart as tensorboardX
exports it, and two layouts of pandas' `to_json`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from descend.loss_logs.column_names import VALIDATION, column_meaning, split_identifier
from descend.loss_logs.number_parsing import number

MIN_WALL_TIME = 1e8
"""Seconds since 1970 from which a number is a time of day: March 1973."""
_TAG = "-tag-"
"""What stands between run and chart in the names of TensorBoard's downloads."""


def rows_of_charts(value: object, path: Path) -> list[dict[str, Any]]:
    """Return the rows of one chart, or of several by their names; none where `value` is neither."""
    if are_scalars(value):
        return _rows_of_chart(value, chart_name(path))
    if not isinstance(value, dict):
        return []
    charts = {name: rows for name, rows in value.items() if are_scalars(rows)}
    rows = [row for name, rows in charts.items() for row in _rows_of_chart(rows, name)]
    return sorted(rows, key=lambda row: row["step"])


def rows_of_frame(value: object) -> list[dict[str, Any]]:
    """Return the rows of a table as pandas writes it; none where `value` is none."""
    if not isinstance(value, dict):
        return []
    return _split_rows(value) or _indexed_rows(value)


def chart_name(path: Path) -> str:
    """Return the name of the number that a downloaded chart holds, by the name of its file.

    A file that names none, or an unknown one, is taken for a loss.
    """
    tag = path.stem.rsplit(_TAG, 1)[-1] if _TAG in path.stem else ""
    if tag and column_meaning(tag) is not None:
        return tag
    return "val loss" if set(split_identifier(path.stem)) & VALIDATION else "loss"


def are_scalars(value: object) -> bool:
    """Return whether a value is a list of wall time, step and value."""
    return isinstance(value, list) and bool(value) and all(map(_is_scalar, value))


def _is_scalar(row: object) -> bool:
    if not isinstance(row, list) or len(row) != 3:
        return False
    wall_time, step = number(row[0]), number(row[1])
    return (
        wall_time is not None and wall_time >= MIN_WALL_TIME
        and step is not None and step >= 0 and step.is_integer()
    )  # fmt: skip


def _rows_of_chart(rows: Any, name: str) -> list[dict[str, Any]]:
    return [{"step": step, name: _value(value)} for _, step, value in rows]


def _value(value: object) -> object:
    """Return a chart's value; null stands for what is no number, which JSON cannot write."""
    return math.nan if value is None else value


def _split_rows(value: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of `{"columns": [names], "data": [rows]}`."""
    columns, data = value.get("columns"), value.get("data")
    if not isinstance(columns, list) or not isinstance(data, list):
        return []
    names = [str(name) for name in columns]
    return [dict(zip(names, row, strict=False)) for row in data if isinstance(row, list)]


def _indexed_rows(value: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of columns that are objects by row: `{"loss": {"0": 3}}`."""
    columns = {name: column for name, column in value.items() if _is_indexed(column)}
    rows: dict[int, dict[str, Any]] = {}
    for name, column in columns.items():
        for index, cell in column.items():
            rows.setdefault(int(index), {})[name] = cell
    return [rows[index] for index in sorted(rows)]


def _is_indexed(column: object) -> bool:
    return isinstance(column, dict) and bool(column) and all(key.isdecimal() for key in column)
