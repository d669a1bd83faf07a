"""A table with a header: commas, semicolons, tabs or blanks between the columns.

Columns are found by name in many spellings (`logs.log.NAMES`), among them those of Lightning's
`metrics.csv`, of Weights & Biases' and of TensorBoard's exports (`Wall time,Step,Value`).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

from descend.doctor.logs.log import Log, log_of, meanings, plain

_SEPARATORS = (",", ";", "\t")
_TENSORBOARD = ("wall_time", "step", "value")


def parse(text: str) -> Log | None:
    """The table in `text`, or None if its first line names no loss."""
    lines = [line for line in text.lstrip("\ufeff").splitlines() if line.strip()]
    if len(lines) < 2:
        return None
    separator = next((s for s in _SEPARATORS if s in lines[0]), None)
    if separator is None:
        header, *cells = [line.split() for line in lines]
    else:
        try:
            header, *cells = list(csv.reader(io.StringIO("\n".join(lines)), delimiter=separator))
        except csv.Error:  # a field of over 131,072 characters: an unbalanced quote, no table
            return None
    names = [_name(column) for column in header]
    if tuple(plain(n) for n in names) == _TENSORBOARD:
        names = ["wall_time", "step", "loss"]
    found = meanings(names)
    if "training" not in found and "validation" not in found:
        return None
    rows: list[Mapping[str, Any]] = [dict(zip(names, row, strict=False)) for row in cells]
    return log_of("table", rows)


def _name(column: str) -> str:
    """Weights & Biases writes `name of the run - train/loss`: the part after the run's name."""
    return column.rsplit(" - ", 1)[-1].strip()
