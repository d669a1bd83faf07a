"""Tables of experiments in a terminal."""

from __future__ import annotations

import pytest

from descend.report.text.experiment_tables import divided_table, table

HEAD = ("change", "loss reduction (nats per token)", "worse │ better", "first", "accuracy", "time")
ROWS = [
    ("learning_rate 0.03 → 0.001", "+0.084", "│██████████", "+0.084", "-0.2 points", "-0.1 s"),
    ("total", "+0.084", "", "", "-0.2 points", "-0.1 s"),
]


@pytest.mark.parametrize("width", [60, 80, 200])
def test_divided_table_fits_the_terminal_and_keeps_every_cell(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    text = divided_table(HEAD, ROWS)
    assert max(map(len, text.splitlines())) <= width
    assert all(cell in text for row in ROWS for cell in row)
    assert all(word in text for title in HEAD for word in title.split())
    blocks = text.split("\n\n")
    assert all(block.splitlines()[-2].startswith(ROWS[0][0]) for block in blocks)


def test_headings_wider_than_their_cells_are_broken_before_a_table_is_divided(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    head = ("rank", "learning_rate", "num_layers", "accuracy (bigram)")
    assert divided_table(head, [("1", "0.00304", "3", "19.8% (15.2%)")]).splitlines() == [
        "      learning_    num_       accuracy",
        "rank       rate  layers       (bigram)",
        "────  ─────────  ──────  ─────────────",
        "1       0.00304       3  19.8% (15.2%)",
    ]


def test_divided_table_is_one_table_when_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert divided_table(HEAD, ROWS) == table(HEAD, ROWS)
