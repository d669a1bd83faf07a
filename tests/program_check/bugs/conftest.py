"""The programs of the benchmark, and how one of them is checked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from descend.program_check.run_checks import Checked, check_module

Check = Callable[[str], Checked]


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """The check of a program, given as source."""

    def run(source: str) -> Checked:
        path = tmp_path / "program.py"
        path.write_text(source, encoding="utf-8")
        return check_module(str(path))

    return run
