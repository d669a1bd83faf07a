"""The pages with measured tables quote what was measured, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "benchmarks" / "tables.py"


def test_benchmark_tables_match_stored_results() -> None:
    done = subprocess.run(
        [sys.executable, PROGRAM, "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


MAX_RESULTS_BYTES = 1_520_000
"""Summaries stay in the repository; `benchmarks/results/README.md` says what makes the rest."""


def test_results_are_small_enough_for_a_repository() -> None:
    files = [f for f in (ROOT / "benchmarks" / "results").rglob("*") if f.is_file()]
    assert sum(f.stat().st_size for f in files) <= MAX_RESULTS_BYTES


def test_a_number_changed_by_hand_is_noticed() -> None:
    program: dict[str, object] = {"__name__": "tables", "__file__": str(PROGRAM)}
    exec(compile(PROGRAM.read_text(encoding="utf-8"), PROGRAM, "exec"), program)
    filled = program["filled"]
    text = (ROOT / "docs" / "recipe.md").read_text(encoding="utf-8")
    assert callable(filled)
    assert filled(text) == text
    assert filled(text.replace("2.226", "2.326")) == text
    assert "2.226" in text
