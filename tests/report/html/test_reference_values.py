"""Reference values in the report are those of the optimizer in use; no guide's picture is drawn."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import pytest

from descend import run
from descend.diagnosis.reference_ranges import reference_range
from descend.report.html.report_page import Figure
from descend.report.html.sections.learning_curves import learning_curves_section
from descend.report.html.sections.optimization import optimization_section
from descend.runs.recorded_run import open_run_with_epoch


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_usual_update_size_is_that_of_the_optimizer(tiny: dict[str, Any], optimizer: str) -> None:
    run(tiny | {"save_dir": "run", "optimizer": optimizer, "epoch": 3})
    section = optimization_section(open_run_with_epoch(Path("run")))
    assert section is not None
    figure = next(
        b for b in section.blocks if isinstance(b, Figure) and "one step moves" in b.title
    )
    low, high = reference_range("update_to_weight_ratio", optimizer)
    assert low is not None
    assert high is not None
    area = next(s for s in figure.option["series"] if "markArea" in s)
    assert area["name"] == f"usual for {optimizer}"
    (corners,) = area["markArea"]["data"]
    assert [corner["coord"][1] for corner in corners] == [low, high]
    median = statistics.median(open_run_with_epoch(Path("run")).update_ratios.values())
    assert low / 3 < median < 3 * high
    # The one value that was drawn for all, 0.001, lies outside what is usual for the default.
    assert not (optimizer == "muon" and low <= 0.001)


def test_curves_have_no_band_of_a_guide(trained: Path) -> None:
    section = learning_curves_section(open_run_with_epoch(trained))
    content = json.dumps([str(block) for block in section.blocks])
    assert "guide" not in content
    assert "shaded" not in content
