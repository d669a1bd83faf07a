"""The metrics of a trained run."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from descend.diagnosis.measure import measure_run
from descend.diagnosis.reference_ranges import reference_range
from descend.diagnosis.run_context import load_run_context


def test_measure_run_agrees_with_training_events(trained: Path) -> None:
    context = load_run_context(trained)
    measurements = measure_run(context)
    best = min(context.epochs, key=lambda e: e.validation_loss)
    assert measurements["measured_validation_loss"].value == pytest.approx(
        best.validation_loss, abs=0.01
    )
    assert measurements["initial_loss_ratio"].value == pytest.approx(1.0, abs=0.1)
    assert measurements["steps"].value == context.total_steps == len(context.steps)
    assert measurements["critical_step_multiplier_fresh"].value > 0


def test_measure_run_reads_normal_values_when_the_network_is_sound(trained: Path) -> None:
    measurements = measure_run(load_run_context(trained))
    for signal in (
        "max_attention_logit",
        "dead_unit_fraction",
        "effective_rank_fraction",
    ):
        low, high = reference_range(signal)
        assert (low or 0.0) <= measurements[signal].value <= (high or math.inf), signal
    assert measurements["effective_rank_fraction"].value <= 1.0
    assert 0 < measurements["rare_token_loss_fraction"].value < 1


def test_measure_run_changes_no_file(trained: Path) -> None:
    files = {p: p.read_bytes() for p in trained.rglob("*") if p.is_file()}
    measure_run(load_run_context(trained))
    assert {p: p.read_bytes() for p in trained.rglob("*") if p.is_file()} == files
