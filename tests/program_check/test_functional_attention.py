"""Attention that is called as a function, in the network itself, is seen."""

from __future__ import annotations

from pathlib import Path

from descend.program_check.run_checks import check_module

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_loop.py"


def test_positions_are_looked_for_where_no_part_mixes_them(own_folder: Path) -> None:
    source = EXAMPLE.read_text(encoding="utf-8")
    Path("with_positions.py").write_text(source, encoding="utf-8")
    report = check_module("with_positions.py")
    assert "positions_missing" in report.checked
    without = source.replace(" + self.position[: ids.shape[1]]", "")
    assert without != source
    Path("without.py").write_text(without, encoding="utf-8")
    assert [b.bug for b in check_module("without.py").bugs] == ["positions_missing"]
