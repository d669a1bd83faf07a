"""Where a curve was going: read where the rate stood at its peak, told, never weighed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from descend import run
from descend.doctor.case import open_case
from descend.doctor.causes import CAUSES
from descend.doctor.consult import consult, keep
from descend.doctor.curve import at_peak
from descend.doctor.from_log import CurveDiagnosis, diagnose_log
from descend.doctor.measure import measure
from descend.doctor.reading import Reading
from descend.handbook.find import find
from descend.handbook.yours import read_run, yours
from descend.report.curve import curve_text
from descend.report.diagnosis import diagnosis_text, heading_sentence
from descend.report.page import Table
from descend.report.parts.diagnosis import diagnosis_section
from descend.signals.curve import heading


@pytest.fixture
def held(tiny: dict[str, Any]) -> Path:
    """A run of 164 steps, half of them at the peak of the rate."""
    run(tiny | {"save_dir": "held", "epoch": 4, "warmup_steps": 8})
    return Path("held")


def test_a_run_is_read_where_its_rate_stood_at_the_peak(held: Path) -> None:
    case = open_case(held)
    peak = max(s.learning_rate for s in case.steps)
    steps = [s for s in case.steps if s.learning_rate >= 0.9 * peak]
    assert 50 < len(steps) < 0.6 * len(case.steps)  # the rest is warmup and decay
    found = heading(np.array([float(s.step) for s in steps]), np.array([s.loss for s in steps]))
    assert found is not None
    readings = measure(case)
    ahead, last = readings["loss_ahead"], readings["loss_at_last"]
    assert (ahead.value, ahead.ci95) == (found.loss, found.ci95)
    assert ahead.unit == f"nats per token at step {2 * steps[-1].step}"
    assert (last.value, last.ci95) == (found.floor, found.floor_ci95)
    assert {find(name).name for name in ("loss_ahead", "loss_at_last")} == {"power_law"}
    assert {"loss_ahead", "loss_at_last"}.isdisjoint(e.signal for c in CAUSES for e in c.expects)


@pytest.mark.parametrize("other", [{"schedule": "linear"}, {"label_smoothing": 0.1}])
def test_a_rate_that_falls_or_a_smoothed_loss_is_not_carried_on(
    tiny: dict[str, Any], other: dict[str, Any]
) -> None:
    folder = run(tiny | {"save_dir": "other", "epoch": 4, "warmup_steps": 8} | other).folder
    assert {"loss_ahead", "loss_at_last"}.isdisjoint(measure(open_case(folder)))


def test_it_is_told_with_its_interval_wherever_a_diagnosis_is_shown(held: Path) -> None:
    found = consult(held, proof=False)
    ahead = next(e for e in found.readings if e.signal == "loss_ahead")
    assert ahead.ci95 is not None
    low, high = (f"{x:.3g}" for x in ahead.ci95)
    interval = f"(95 %: {low} to {high})"
    assert f"going to {ahead.value:.2f} {ahead.unit} {interval}, and " in (diagnosis_text(found))
    assert f"loss ahead {ahead.value:.3g} {ahead.unit} {interval}" in (
        diagnosis_text(found, explain=True)
    )
    told = json.loads(msgspec.json.encode(found))["readings"]
    assert [e["ci95"] for e in told if e["signal"] == "loss_ahead"] == [list(ahead.ci95)]
    keep(found)
    assert f"loss ahead {ahead.value:.3g} {ahead.unit} {interval}: " in (
        yours("power_law", read_run(held)) or ""
    )
    tables = [b for b in diagnosis_section(found).blocks if isinstance(b, Table)]
    assert any(interval in cell for table in tables for row in table.rows for cell in row)
    without = [e for e in found.readings if not e.signal.startswith("loss_a")]
    assert "Curve:" not in diagnosis_text(msgspec.structs.replace(found, readings=without))


def test_the_part_at_the_peak_is_found_or_too_short() -> None:
    places = np.arange(1.0, 101.0)
    rates = [(t, min(t / 10, 1.0) * (1.0 if t <= 60 else 0.5)) for t in places]
    here = at_peak(rates, places)
    assert here is not None
    assert places[here].tolist() == list(range(9, 61))
    assert at_peak([(t, 1.0 if t < 30 else 0.5) for t in places], places) is None
    assert at_peak([], places) is None


def log_of(path: Path, rate: str) -> CurveDiagnosis:
    losses = 2 + 3 * np.arange(1.0, 301.0) ** -0.5
    jumps = np.random.default_rng(0).normal(0, 0.02, 300)
    rows = [f"{n},{x:.4f}{rate}" for n, x in enumerate(losses + jumps, 1)]
    path.write_text("\n".join(["step,loss" + (",lr" if rate else ""), *rows]), encoding="utf-8")
    return diagnose_log(path)


def test_a_log_that_tells_its_rate_is_carried_on_too(tmp_path: Path) -> None:
    found = log_of(tmp_path / "with.csv", ",0.001")
    assert found.curve is not None
    assert found.curve.heading is not None
    assert found.curve.heading.at == 600
    low, high = found.curve.heading.ci95
    assert low <= 2 + 3 * 600**-0.5 <= high
    assert f"the loss was going to {found.curve.heading.loss:.2f} nats per token at step 600 " in (
        curve_text(found)
    )
    silent = log_of(tmp_path / "without.csv", "")
    assert silent.curve is not None
    assert silent.curve.heading is None
    assert "Curve:" not in curve_text(silent)


def test_a_floor_that_nobody_knows_is_not_told() -> None:
    ahead = Reading("loss_ahead", 4.0, "nats per token at step 500", ci95=(3.9, 4.1))
    known = Reading("loss_at_last", 3.5, "nats per token", ci95=(3.2, 3.8))
    assert "and at last to 3.50 (95 %: 3.2 to 3.8): a power law" in heading_sentence(ahead, known)
    unknown = msgspec.structs.replace(known, value=0.0, ci95=(0.0, 3.8))
    assert "and where at last cannot be told: a power law" in heading_sentence(ahead, unknown)
