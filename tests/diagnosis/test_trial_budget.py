"""What trials may take: counted by their own seconds, bounded by the clock."""

from __future__ import annotations

import math

import msgspec
import pytest

from descend.config import make_config
from descend.diagnosis.diagnosis_result import (
    OVERHEAD_SECONDS,
    diagnosis_seconds,
    trial_budget_seconds,
)
from descend.diagnosis.run_context import RunContext
from descend.diagnosis.treatments import control_config
from descend.diagnosis.trial_budget import (
    TRIAL_START_SECONDS,
    TrialBudget,
    seconds_at_work,
    side_by_side_seconds,
    start_budget,
)
from descend.diagnosis.trial_series import TrialSeries, run_series_trials
from descend.progress import ignore_progress
from descend.trials.trial_spec import TrialResult, make_trial_spec


def test_a_short_run_is_answered_in_a_minute() -> None:
    for seconds in (1.0, 5.0, 15.0):
        assert diagnosis_seconds(seconds) == 60
        assert trial_budget_seconds(seconds) == 60 - OVERHEAD_SECONDS
    assert diagnosis_seconds(30.0) == 120
    assert trial_budget_seconds(3600.0) == pytest.approx(0.15 * 3600)
    assert trial_budget_seconds(5.0, min_seconds=7.0) == 7.0


def test_a_budget_is_spent_by_work_and_ended_by_the_clock() -> None:
    budget = TrialBudget(10.0)
    budget.limit_stage(0.6)
    budget.spent = 4.0
    assert budget.remaining_seconds() == pytest.approx(2.0)
    assert budget.allows(2.0)
    assert not budget.allows(2.1)
    assert not budget.is_cut_by_clock
    budget.limit_stage(1.0)
    budget.ends = -math.inf
    assert not budget.allows(1.0)
    assert budget.is_cut_by_clock
    budget.begin_rest()
    assert (budget.total, budget.limit, budget.spent) == (6.0, 6.0, 0.0)


def test_a_budget_of_nothing_is_not_cut_by_the_clock() -> None:
    budget = start_budget(0.0)
    assert not budget.allows(1.0)
    assert not budget.is_cut_by_clock


def test_seconds_at_work_count_evaluations_and_the_start() -> None:
    spec = make_trial_spec(make_config({}), steps=100, evaluate_every=25, evaluation_tokens=600)
    result = TrialResult(
        key="", steps=100, tokens=3000, train_tokens=1000, vocab_size=10, parameters=1, seconds=6.0,
        peak_bytes=None, curve=[], validation_loss=1.0, accuracy=0.1, bits_per_byte=1.0,
        diverged_step=None, chunk_losses=[],
    )  # fmt: skip
    # Five evaluations of 300 tokens, at a third of the cost of training.
    assert seconds_at_work(spec, result, 300) == pytest.approx(TRIAL_START_SECONDS + 7.0)
    without = msgspec.structs.replace(spec, evaluate_every=None)
    assert seconds_at_work(without, result, 10_000) == pytest.approx(TRIAL_START_SECONDS + 6.4)


def test_trials_side_by_side_start_as_soon_as_there_is_room() -> None:
    assert side_by_side_seconds([4.0, 1.0, 1.0, 2.0], 2) == 4.0
    assert side_by_side_seconds([1.0, 2.0], 1) == 3.0
    assert side_by_side_seconds([], 2) == 0.0


def test_trials_from_the_cache_count_as_when_they_were_made(context: RunContext) -> None:
    spent = []
    for _ in range(2):
        series = TrialSeries(
            context, control_config(context), 4, TrialBudget(100.0), ignore_progress
        )
        run_series_trials(series, [(None, series.seed)], "trying")
        spent.append(series.budget.spent)
    assert spent[0] > TRIAL_START_SECONDS
    assert spent[0] == spent[1]
