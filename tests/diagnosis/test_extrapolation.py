"""Where a curve was going: read where the rate stood at its peak, reported, never weighed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from descend import run
from descend.diagnosis.causes import CAUSES
from descend.diagnosis.measure import measure_run
from descend.diagnosis.run_context import load_run_context
from descend.diagnosis.run_diagnosis import diagnose_run, save_diagnosis
from descend.handbook.page_lookup import find_page
from descend.handbook.run_notes import describe_run
from descend.loss_logs.diagnose_log import LogDiagnosis, diagnose_log
from descend.metrics.measurement import Measurement
from descend.metrics.power_law import extrapolate_curve
from descend.report.html.report_page import ReportTable
from descend.report.html.sections.diagnosis_findings import diagnosis_section
from descend.report.text.diagnosis_summary import describe_extrapolation, format_diagnosis
from descend.report.text.log_diagnosis import format_log_diagnosis
from descend.runs.recorded_run import open_run_with_epoch


@pytest.fixture
def peak_lr_run(tiny: dict[str, Any]) -> Path:
    """A run of 164 steps, half of them at the peak of the rate."""
    run(tiny | {"save_dir": "held", "epoch": 4, "warmup_steps": 8})
    return Path("held")


def test_measure_extrapolates_loss_from_peak_learning_rate(peak_lr_run: Path) -> None:
    context = load_run_context(peak_lr_run)
    peak = max(s.learning_rate for s in context.steps)
    steps = [s for s in context.steps if s.learning_rate >= 0.9 * peak]
    assert 50 < len(steps) < 0.6 * len(context.steps)  # the rest is warmup and decay
    extrapolation = extrapolate_curve(
        np.array([float(s.step) for s in steps]), np.array([s.loss for s in steps])
    )
    assert extrapolation is not None
    measurements = measure_run(context)
    ahead, last = measurements["extrapolated_loss"], measurements["loss_asymptote"]
    assert (ahead.value, ahead.ci95) == (extrapolation.loss, extrapolation.ci95)
    assert ahead.unit == f"nats per token at step {2 * steps[-1].step}"
    assert (last.value, last.ci95) == (extrapolation.asymptote, extrapolation.floor_ci95)
    assert {find_page(name).name for name in ("extrapolated_loss", "loss_asymptote")} == {
        "power_law"
    }
    assert {"extrapolated_loss", "loss_asymptote"}.isdisjoint(
        e.metric for c in CAUSES for e in c.expected_ranges
    )


@pytest.mark.parametrize("other", [{"schedule": "linear"}, {"label_smoothing": 0.1}])
def test_measure_does_not_extrapolate_decaying_or_smoothed_loss(
    tiny: dict[str, Any], other: dict[str, Any]
) -> None:
    folder = run(tiny | {"save_dir": "other", "epoch": 4, "warmup_steps": 8} | other).folder
    assert {"extrapolated_loss", "loss_asymptote"}.isdisjoint(measure_run(load_run_context(folder)))


def test_extrapolated_loss_has_interval_in_every_output(peak_lr_run: Path) -> None:
    diagnosis = diagnose_run(peak_lr_run, proof=False)
    ahead = next(e for e in diagnosis.measurements if e.metric == "extrapolated_loss")
    assert ahead.ci95 is not None
    low, high = (f"{x:.3g}" for x in ahead.ci95)
    interval = f"(95 % CI {low} to {high})"
    assert (
        "Extrapolation of the training loss at the peak learning rate: "
        f"{ahead.value:.2f} {ahead.unit} {interval}, asymptote "
    ) in format_diagnosis(diagnosis, explain=True)
    assert "Extrapolation of" not in format_diagnosis(diagnosis)
    assert f"extrapolated loss {ahead.value:.3g} {ahead.unit} {interval}" in (
        format_diagnosis(diagnosis, explain=True)
    )
    encoded_measurements = json.loads(msgspec.json.encode(diagnosis))["measurements"]
    assert [e["ci95"] for e in encoded_measurements if e["metric"] == "extrapolated_loss"] == [
        list(ahead.ci95)
    ]
    save_diagnosis(diagnosis)
    assert f"extrapolated loss {ahead.value:.3g} {ahead.unit} {interval}: " in (
        describe_run("power_law", open_run_with_epoch(peak_lr_run)) or ""
    )
    tables = [b for b in diagnosis_section(diagnosis).blocks if isinstance(b, ReportTable)]
    assert any(interval in cell for table in tables for row in table.rows for cell in row)
    without = [
        e for e in diagnosis.measurements if e.metric not in ("extrapolated_loss", "loss_asymptote")
    ]
    assert "Extrapolation of" not in format_diagnosis(
        msgspec.structs.replace(diagnosis, measurements=without), explain=True
    )


def log_of(path: Path, rate: str) -> LogDiagnosis:
    losses = 2 + 3 * np.arange(1.0, 301.0) ** -0.5
    jumps = np.random.default_rng(0).normal(0, 0.02, 300)
    rows = [f"{n},{x:.4f}{rate}" for n, x in enumerate(losses + jumps, 1)]
    path.write_text("\n".join(["step,loss" + (",lr" if rate else ""), *rows]), encoding="utf-8")
    return diagnose_log(path)


def test_log_with_learning_rate_has_extrapolated_loss(tmp_path: Path) -> None:
    diagnosis = log_of(tmp_path / "with.csv", ",0.001")
    assert diagnosis.features is not None
    assert diagnosis.features.extrapolation is not None
    assert diagnosis.features.extrapolation.step == 600
    low, high = diagnosis.features.extrapolation.ci95
    assert low <= 2 + 3 * 600**-0.5 <= high
    assert (
        "Extrapolation of the loss at the peak learning rate: "
        f"{diagnosis.features.extrapolation.loss:.2f} nats per token at step 600 "
    ) in format_log_diagnosis(diagnosis)
    silent = log_of(tmp_path / "without.csv", "")
    assert silent.features is not None
    assert silent.features.extrapolation is None
    assert "Extrapolation of" not in format_log_diagnosis(silent)


def test_extrapolation_text_omits_unknown_asymptote() -> None:
    ahead = Measurement("extrapolated_loss", 4.0, "nats per token at step 500", ci95=(3.9, 4.1))
    known = Measurement("loss_asymptote", 3.5, "nats per token", ci95=(3.2, 3.8))
    assert "asymptote 3.50 (95 % CI 3.2 to 3.8). This power-law fit" in describe_extrapolation(
        ahead, known
    )
    unknown = msgspec.structs.replace(known, value=0.0, ci95=(0.0, 3.8))
    assert "asymptote unknown. This power-law fit" in describe_extrapolation(ahead, unknown)
