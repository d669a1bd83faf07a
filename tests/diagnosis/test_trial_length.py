"""How long trials are: as long as the time allows, and never too short to say anything."""

from __future__ import annotations

import math

import pytest

from descend.diagnosis.cause import TreatmentChange
from descend.diagnosis.run_context import RunContext
from descend.diagnosis.treatments import Treatment, control_config
from descend.diagnosis.trial_budget import TrialBudget
from descend.diagnosis.trial_length import (
    MIN_CAUSES_OVER_BUDGET,
    MIN_STEPS,
    choose_trial_length,
    first_round_seconds,
    fits_in_budget,
)
from descend.diagnosis.trial_series import TrialSeries

SEQUENCES = [
    [Treatment(name, TreatmentChange(name, {"learning_rate": 0.001 * (n + 1)}))]
    for n, name in enumerate("abcdefghij")
]


@pytest.fixture
def long(context: RunContext) -> RunContext:
    """The run as if it had been of ten thousand steps, each of 10 ms."""
    config = context.config.model_copy(update={"epoch": 245})
    return context.with_parts(config=config, finished=False, seconds_per_step=0.01)


def test_choose_trial_length_is_the_whole_run_with_time(long: RunContext) -> None:
    assert long.total_steps > 5000
    base = control_config(long)
    assert choose_trial_length(long, base, SEQUENCES, 1e9) == (long.total_steps, len(SEQUENCES))


def test_choose_trial_length_shortens_trials_before_it_drops_causes(long: RunContext) -> None:
    base = control_config(long)
    whole = first_round_seconds(long, base, SEQUENCES, long.total_steps)
    steps, count = choose_trial_length(long, base, SEQUENCES, whole)
    assert MIN_STEPS <= steps < long.total_steps
    assert count == len(SEQUENCES)
    assert choose_trial_length(long, base, SEQUENCES, 0.0)[1] == MIN_CAUSES_OVER_BUDGET


def test_fits_in_budget_ends_with_the_deadline(long: RunContext) -> None:
    base = control_config(long)
    series = TrialSeries(long, base, 1000, TrialBudget(math.inf), lambda stage, fraction: None)
    assert fits_in_budget(series, [None])
    series.budget.ends = 0.0
    assert not fits_in_budget(series, [None])
