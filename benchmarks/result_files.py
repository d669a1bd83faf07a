"""What the scripts that write tables share: where results lie, and a table in Markdown."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"


def read(name: str) -> dict[str, Any]:
    """One result."""
    record: dict[str, Any] = json.loads((RESULTS / name).read_text(encoding="utf-8"))
    return record


def append_row(path: Path, columns: Sequence[str], row: Mapping[str, Any]) -> None:
    """Append `row` to a CSV file, with a line of `columns` before the first one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists()
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerow(row)


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """A table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def select_columns(table: str, names: Sequence[str]) -> str:
    """Return a table with the columns of these names only, in their order."""
    head, _, *rows = [[c.strip() for c in x.strip("| ").split(" | ")] for x in table.splitlines()]
    places = [head.index(name) for name in names]
    return markdown(list(names), [[row[place] for place in places] for row in rows])
