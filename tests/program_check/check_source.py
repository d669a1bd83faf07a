"""How a test checks a program that it has as text."""

from __future__ import annotations

from pathlib import Path

from descend.program_check.bug_report import Checked
from descend.program_check.run_checks import check_module


def check_source(source: str) -> Checked:
    """Check `source` as a file in the folder of the test."""
    Path("program.py").write_text(source, encoding="utf-8")
    return check_module("program.py")
