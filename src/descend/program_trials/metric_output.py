"""The metric of a program out of what it prints, or writes to a file."""

from __future__ import annotations

import csv
import math
import re
import statistics
from collections.abc import Sequence

_NUMBER = r"([-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|nan|inf|null))"


def read_metric(output: str, name: str) -> float | None:
    """Return the last value of the metric `name` in `output`; None where it is not printed.

    Of a metric that is printed often, such as the loss of each step, the mean of the last tenth.
    Not a number, and `null` in JSON, count as infinite. Read are `name 3.2`, `name: 3.2`,
    `name=3.2`, and `'name': '3.2'`, with spaces or underscores in the name.
    """
    pattern = re.compile(
        rf"(?<![A-Za-z0-9_]){_spelled(name)}['\"]?\s*[:=|]?\s*['\"]?(?:tensor\()?{_NUMBER}",
        re.IGNORECASE,
    )
    return _last_mean(pattern.findall(output))


def read_metric_table(table: str, name: str) -> float | None:
    """Return the same of a column of a CSV table, whose empty cells do not count."""
    rows = list(csv.reader(table.splitlines()))
    columns = [index for row in rows[:1] for index, cell in enumerate(row) if _is_named(cell, name)]
    cells = [row[index] for row in rows for index in columns if index < len(row)]
    return _last_mean([cell for cell in cells if re.fullmatch(_NUMBER, cell.strip(), re.I)])


def _spelled(name: str) -> str:
    return r"[ _/-]".join(re.escape(part) for part in re.split(r"[ _/-]", name))


def _is_named(cell: str, name: str) -> bool:
    return re.fullmatch(_spelled(name), cell.strip(), re.IGNORECASE) is not None


def _last_mean(numbers: Sequence[str]) -> float | None:
    values = [math.nan if number == "null" else float(number) for number in numbers]
    if not values:
        return None
    mean = statistics.fmean(values[-max(1, len(values) // 10) :])
    return mean if math.isfinite(mean) else math.inf
