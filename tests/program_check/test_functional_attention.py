"""Attention that is called as a function, in the network itself, is seen."""

from __future__ import annotations

from pathlib import Path

from .check_source import check_source

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_loop.py"


def test_positions_are_looked_for_where_no_part_mixes_them() -> None:
    source = EXAMPLE.read_text(encoding="utf-8")
    assert "positions_missing" in check_source(source).checked
    without = source.replace(" + self.position[: ids.shape[1]]", "")
    assert without != source
    assert [b.bug for b in check_source(without).bugs] == ["positions_missing"]
