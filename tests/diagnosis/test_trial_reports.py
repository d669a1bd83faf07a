"""Trials told as they end: the effect so far, with an interval that seeds make narrower."""

from __future__ import annotations

import pytest

from descend.diagnosis.cause import TreatmentChange
from descend.diagnosis.run_context import RunContext
from descend.diagnosis.treatments import Treatment, control_config
from descend.diagnosis.trial_budget import TrialBudget
from descend.diagnosis.trial_reports import TrialReport, TrialReporter
from descend.diagnosis.trial_series import TrialCallback, TrialSeries, run_series_trials
from descend.progress import ignore_progress
from descend.trials.trial_spec import TrialResult

RATE = Treatment("learning_rate_too_low", TreatmentChange("three times", {"learning_rate": 0.003}))


def make_result(loss: float) -> TrialResult:
    return TrialResult(
        key="", steps=1, tokens=1000, train_tokens=1000, vocab_size=10, parameters=1, seconds=1.0,
        peak_bytes=None, curve=[], validation_loss=loss, accuracy=0.1, bits_per_byte=loss,
        diverged_step=None, chunk_losses=[],
    )  # fmt: skip


def test_report_has_the_effect_so_far_and_its_interval(context: RunContext) -> None:
    reports: list[TrialReport] = []
    series = TrialSeries(
        context, control_config(context), context.total_steps, TrialBudget(0.0), ignore_progress
    )
    reporter = TrialReporter(ignore_progress, reports.append)
    assert isinstance(reporter, TrialCallback)
    assert not isinstance(ignore_progress, TrialCallback)
    for number in range(3):
        series.results[None, series.seed + number] = make_result(4.0 + number / 100)
        series.results[RATE, series.seed + number] = make_result(3.5)
        reporter.on_trial(series, RATE)
    first, *_, last = reports
    assert first.cause == "learning_rate_too_low"
    assert first.trial.change == "three times"
    assert first.trial.loss_reduction == pytest.approx(0.5)
    assert [report.trial.seeds for report in reports] == [1, 2, 3]
    assert first.trial.ci95 is not None
    assert last.trial.ci95 is not None
    assert first.trial.ci95[0] < 0.5 < first.trial.ci95[1]
    assert last.trial.ci95[1] - last.trial.ci95[0] < first.trial.ci95[1] - first.trial.ci95[0]


def test_real_trial_is_reported_as_it_ends(context: RunContext) -> None:
    reports: list[TrialReport] = []
    stages: list[str] = []
    reporter = TrialReporter(lambda stage, fraction: stages.append(stage), reports.append)
    series = TrialSeries(context, control_config(context), 20, TrialBudget(60.0), reporter)
    run_series_trials(series, [(None, series.seed), (RATE, series.seed)], "trying")
    (report,) = reports
    assert report.trial.change == "three times"
    assert report.trial.seeds == 1
    assert "trying" in stages
