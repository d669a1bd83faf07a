"""tools/record_terminal.py draws what stands in a terminal at the end."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from script_loading import load_script

pytest.importorskip("pty")
ROOT = Path(__file__).parents[1]


tool = load_script(ROOT / "tools" / "record_terminal.py")


def test_settle_lines_keeps_the_last_redraw() -> None:
    output = "a 10%\r\x1b[2Ka 90%\r\nb\r\n\x1b[1A\r\x1b[2Kc\r\n"
    assert tool.settle_lines(output) == ["a 90%", "c", ""]
    assert tool.settle_lines("a\r\nbar\r\n\x1b[1A\x1b[2Kb") == ["a", "b"]


def test_recording_is_an_svg_that_fetches_nothing() -> None:
    output = tool.run_in_terminal([sys.executable, "-c", "print('\\x1b[1mdone\\x1b[0m & <ok>')"])
    lines = tool.settle_lines(output)
    svg = tool.draw_terminal(["descend", "train"], lines)
    text = "".join(ElementTree.fromstring(svg).itertext()).replace("\xa0", " ")
    assert "$ descend train" in text
    assert "done & <ok>" in text
    assert "url(http" not in svg
    assert "@import" not in svg


def test_readme_picture_fetches_nothing() -> None:
    svg = (ROOT / "docs" / "images" / "run.svg").read_text(encoding="utf-8")
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert "url(http" not in svg
