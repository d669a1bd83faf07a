"""The confidence of verdicts is the one that the stored verdicts of the benchmark bear out."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest

from descend.diagnosis.effect_ranking import UNTESTED_PROBABILITY

ROOT = Path(__file__).parent.parent.parent
FOLDER, RESULTS = ROOT / "benchmarks" / "diagnosis", ROOT / "benchmarks" / "results" / "diagnosis"


def test_stored_calibration_is_that_of_the_stored_verdicts(monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(FOLDER))
    try:
        fitted = importlib.import_module("calibrate").calibrate(RESULTS)
    finally:
        for name in set(sys.modules) - before:  # scripts that import each other by plain names
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(FOLDER)):
                del sys.modules[name]
    stored = json.loads((RESULTS / "calibration.json").read_text())
    assert fitted == stored
    assert pytest.approx(fitted["limit"], abs=0.005) == 1 - UNTESTED_PROBABILITY
    scores = fitted["reliability"]
    assert scores["limit"]["distance"] < min(
        scores[name]["distance"] for name in ("as stated", "platt", "isotonic")
    )
