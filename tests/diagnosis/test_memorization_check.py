"""The probe of a diagnosis: whether the network of a run can memorize random tokens."""

from __future__ import annotations

import json
import math
from pathlib import Path

import msgspec
import pytest

from descend.cli.main import run as cli
from descend.diagnosis import run_diagnosis as consulting
from descend.diagnosis.causes import CAUSES
from descend.diagnosis.diagnosis_result import trial_budget_seconds
from descend.diagnosis.memorization_check import MAX_TIME_FRACTION, check_memorization
from descend.diagnosis.run_context import RunContext, load_run_context
from descend.diagnosis.run_diagnosis import diagnose_run
from descend.handbook.page_lookup import find_page
from descend.metrics.memorization import MEMORIZED_LOSS
from descend.report.text.diagnosis_summary import format_diagnosis

NAMES = {"memorization_loss", "memorization_steps"}


def at_rate(context: RunContext, factor: float) -> RunContext:
    """`context` as if it had trained at another rate."""
    steps = tuple(
        msgspec.structs.replace(s, learning_rate=s.learning_rate * factor) for s in context.steps
    )
    return context.with_parts(steps=steps)


def test_memorization_check_fails_at_tiny_learning_rate(trained: Path) -> None:
    context = load_run_context(trained)
    measurements, notes = check_memorization(context, math.inf)
    assert notes == []
    assert measurements.keys() == NAMES
    assert measurements["memorization_loss"].value < MEMORIZED_LOSS
    assert 1 < measurements["memorization_steps"].value < 200
    assert check_memorization(context, math.inf) == (measurements, [])
    slow, notes = check_memorization(at_rate(context, 0.01), math.inf)
    assert notes == []
    assert slow.keys() == {"memorization_loss"}
    assert slow["memorization_loss"].value > 1
    assert {find_page(name).name for name in NAMES} == {"memorization"}
    assert NAMES.isdisjoint(e.metric for c in CAUSES for e in c.expected_ranges)


def test_memorization_check_warns_when_undetermined(trained: Path) -> None:
    measurements, notes = check_memorization(load_run_context(trained), 0.0)
    assert measurements == {}
    assert "--trial-budget" in notes[0]
    measurements, notes = check_memorization(at_rate(load_run_context(trained), 1e30), math.inf)
    assert measurements == {}
    assert "diverged" in notes[0]


def test_diagnosis_skips_memorization_check_when_trials_are_disabled(
    trained: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[float] = []

    def noting(context: RunContext, seconds: float) -> object:
        given.append(seconds)
        return check_memorization(context, seconds)

    monkeypatch.setattr(consulting, "check_memorization", noting)
    assert cli(["diagnose", str(trained), "--json"]) == 0  # too little text for trials
    diagnosis = json.loads(capsys.readouterr().out)
    assert {r["metric"] for r in diagnosis["measurements"]} >= NAMES
    assert given == [
        pytest.approx(
            MAX_TIME_FRACTION
            * trial_budget_seconds(load_run_context(trained).estimated_total_seconds)
        )
    ]
    (trained / "diagnosis.json").unlink()
    alone = diagnose_run(trained, proof=False)
    assert NAMES.isdisjoint(r.metric for r in alone.measurements)
    assert len(given) == 1
    assert alone.verdict == diagnosis["verdict"]
    text = format_diagnosis(diagnose_run(trained), explain=True)
    assert "memorization steps " in text
    assert "memorization loss " in text
