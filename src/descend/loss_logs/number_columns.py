"""How a table writes its numbers: one rule for a column, since a cell alone does not tell.

`1.050` is one thousand fifty in a German table and little more than one in an English one, and
`3,141` the other way round. The cells above and below, and the other columns, tell.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise

from descend.loss_logs.column_names import Role, column_meaning

Cells = Mapping[str, str]

_DECIMAL_COMMA = re.compile(r"[-+]?(?:\d+,(?:\d{1,2}|\d{4,})|0+,\d+|\d{4,},\d+)(?:[eE][-+]?\d+)?")
"""A comma that no thousands stand behind."""
_COMMA = re.compile(r"[-+]?\d+,\d+(?:[eE][-+]?\d+)?")
_COMMA_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(?:,\d{3})+")
_POINT_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(?:\.\d{3})+(?:,\d+)?")
_GROUPED = re.compile(r"[-+]?[1-9]\d{0,2}(?:[ \u00a0\u2009\u202f'\u2019]\d{3})+(?:[.,]\d+)?")
"""Thousands as in French and Swiss tables: `1 050`, `1'050`."""
_GROUP_SIGNS = re.compile(r"[ \u00a0\u2009\u202f'\u2019]")
_WHOLE = re.compile(r"\d+")
_COUNTERS: frozenset[Role | None] = frozenset({"step"})
_LOSSES: frozenset[Role | None] = frozenset({"loss", "split"})


class NumberColumns:
    """How each column of a table writes its numbers, by its rows so far."""

    def __init__(self, rows: Sequence[Cells]) -> None:
        columns: dict[str, list[str]] = {}
        for row in rows:
            for name, cell in row.items():
                columns.setdefault(name, []).append(_trim(cell))
        has_decimal_commas = any(
            _has_decimal_comma(_role(name), cells) for name, cells in columns.items()
        )
        self.rewritten = {
            name: rewrite
            for name, cells in columns.items()
            if (rewrite := _rewriting(_role(name), cells, has_decimal_commas)) is not None
        }

    def to_english(self, row: Cells) -> dict[str, str]:
        """Return a row with decimal points and without signs between thousands."""
        return {
            name: self.rewritten[name](trimmed) if name in self.rewritten else trimmed
            for name, cell in row.items()
            for trimmed in (_trim(cell),)
        }


def _trim(cell: str) -> str:
    """Return a cell without quotes, and without spaces between its thousands."""
    cell = cell.strip().strip("\"'").strip()
    return _GROUP_SIGNS.sub("", cell) if _GROUPED.fullmatch(cell) else cell


def _role(name: str) -> Role | None:
    meaning = column_meaning(name)
    return None if meaning is None else meaning.role


def _has_decimal_comma(role: Role | None, cells: Iterable[str]) -> bool:
    """Return whether commas of a column stand before decimals; a loss is never in thousands."""
    with_comma = [cell for cell in cells if "," in cell]
    if role in _LOSSES:
        return bool(with_comma) and all(map(_COMMA.fullmatch, with_comma))
    return any(map(_DECIMAL_COMMA.fullmatch, with_comma))


def _rewriting(
    role: Role | None, cells: Sequence[str], has_decimal_commas: bool
) -> Callable[[str], str] | None:
    """Return how to rewrite the cells of a column; None for a column that is English already."""
    with_point = [cell for cell in cells if "." in cell]
    with_comma = [cell for cell in cells if "," in cell]
    in_thousands = bool(with_point) and all(map(_POINT_THOUSANDS.fullmatch, with_point))
    in_thousands = in_thousands and (role not in _LOSSES or bool(with_comma))
    if has_decimal_commas:
        if in_thousands:
            return _from_german
        counts = role in _COUNTERS and all(map(_COMMA_THOUSANDS.fullmatch, with_comma))
        return _from_german_decimal if with_comma and not counts else None
    if in_thousands and role in _COUNTERS and _rises_in_thousands(cells):
        return _from_german
    return None


def _rises_in_thousands(cells: Sequence[str]) -> bool:
    """Return whether a counter rises only if its points stand between thousands, or would count in
    fractions without."""
    numbers = [c for c in cells if _WHOLE.fullmatch(c) or _POINT_THOUSANDS.fullmatch(c)]
    if len(numbers) < len([c for c in cells if c]):
        return False
    counts = [float(c.replace(".", "")) for c in numbers]
    plain = [float(c) if c.count(".") < 2 else float(c.replace(".", "")) for c in numbers]
    if any(a > b for a, b in pairwise(counts)):
        return False
    falls = any(a > b for a, b in pairwise(plain))
    has_fractions = any(not value.is_integer() for value in plain)
    return falls or has_fractions


def _from_german(cell: str) -> str:
    return cell.replace(".", "").replace(",", ".")


def _from_german_decimal(cell: str) -> str:
    return cell.replace(",", ".") if _COMMA.fullmatch(cell) else cell
