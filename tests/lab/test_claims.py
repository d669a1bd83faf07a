"""What docs/claims.md quotes is what the committed results hold."""

from __future__ import annotations

import json
from pathlib import Path

from descend.report.experiments import signed

ROOT = Path(__file__).parents[2]


def test_every_measured_difference_is_quoted_as_it_is() -> None:
    page = (ROOT / "docs" / "claims.md").read_text(encoding="utf-8")
    files = sorted((ROOT / "benchmarks" / "results" / "compare").glob("*.json"))
    assert files
    for file in files:
        record = json.loads(file.read_text(encoding="utf-8"))
        assert f"`compare/{file.stem}`" in page
        for arm in record["outcome"]["arms"][1:]:
            difference = arm["difference"]
            assert signed(difference["value"], tuple(difference["ci95"])) in page
        assert "/work" not in file.read_text(encoding="utf-8")


def test_the_quoted_numbers_are_noticed_when_wrong() -> None:
    page = (ROOT / "docs" / "claims.md").read_text(encoding="utf-8")
    assert signed(-0.102, (-0.191, -0.010)) not in page
