"""Tables whose numbers are written as in several countries."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from descend.loss_logs.read_log import read_log

from .written_logs import train_points, written

STEPS = range(50, 3001, 50)


def fall(epoch: float) -> float:
    """A loss that falls smoothly and levels off."""
    return round(1.2 + 5 * math.exp(-epoch / 12), 4)


def german(value: float, digits: int = 4) -> str:
    """A number with a decimal comma and points between thousands."""
    return f"{value:,.{digits}f}".translate(str.maketrans(",.", ".,"))


def table(header: str, row: Callable[[int], str]) -> str:
    """A table with a row each 50 steps."""
    return header + "\n" + "".join(row(s) + "\n" for s in STEPS)


TABLES: dict[str, str] = {
    "german": table("Schritt;Rate;Verlust", lambda s: (
        f"{german(s, 0)};0,001;{german(fall(s / 50))}")),
    "three decimals": table("Schritt;Verlust", lambda s: (
        f"{german(s, 0)};{german(fall(s / 50), 3)}")),
    "points between thousands only": table("step\tloss", lambda s: (
        f"{german(s, 0)}\t{fall(s / 50)}")),
    "english": table("step;loss", lambda s: f"{s:,};{fall(s / 50)}"),
    "french": table("Étape;Perte", lambda s: (
        f"{s:,}".replace(",", "\u202f") + f";{german(fall(s / 50))}")),
    "swiss": table("step;loss", lambda s: f"{s:,}".replace(",", "'") + f";{fall(s / 50)}"),
    "quoted": table("step,loss", lambda s: f'"{german(s, 0)}","{german(fall(s / 50))}"'),
    "printed": "start\n\n" + table("| Schritt | Verlust | Prüfverlust |", lambda s: (
        f"| {german(s, 0)} | {german(fall(s / 50), 3)} | {german(fall(s / 50) + 0.1, 2)} |")),
    "zeros behind the point": table("step;loss", lambda s: f"{s:.3f};{fall(s / 50)}"),
    "epochs with three decimals": table("step;epoch;loss", lambda s: (
        f"{s};{1 + s / 1000:.3f};{fall(s / 50):.3f}")),
}  # fmt: skip


@pytest.mark.parametrize("text", TABLES.values(), ids=TABLES)
def test_read_log_reads_a_column_by_one_rule_when_a_cell_alone_is_ambiguous(
    text: str, tmp_path: Path
) -> None:
    path = written(tmp_path, text, "table.csv")
    log = read_log(path)
    assert log.unit == "steps"
    assert train_points(log) == [(s, pytest.approx(fall(s / 50), abs=6e-4)) for s in STEPS]
