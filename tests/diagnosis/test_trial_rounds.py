"""The rounds of a trial series, on real trials of a second."""

from __future__ import annotations

import pytest

from descend.diagnosis.cause import TreatmentChange
from descend.diagnosis.run_context import RunContext
from descend.diagnosis.treatments import Treatment, control_config
from descend.diagnosis.trial_budget import TrialBudget
from descend.diagnosis.trial_rounds import best_treatment, run_trial_series
from descend.diagnosis.trial_series import TrialSeries, paired_reductions
from descend.progress import ignore_progress

CAUSE = "learning_rate_too_low"


def make_sequence(*rates: float) -> list[Treatment]:
    return [Treatment(CAUSE, TreatmentChange(f"a rate of {r:g}", {"learning_rate": r}))
            for r in rates]  # fmt: skip


@pytest.mark.slow
def test_run_trial_series_follows_up_only_what_helps(context: RunContext) -> None:
    slow = control_config(context).model_copy(update={"learning_rate": 0.0001})
    helps, hurts = make_sequence(0.001, 0.01), make_sequence(1e-6, 1e-7)
    stages: list[str] = []
    series = TrialSeries(
        context, slow, 60, TrialBudget(600.0), lambda stage, fraction: stages.append(stage)
    )
    series.full_length_factor = series.steps / context.total_steps
    run_trial_series(series, [helps, hurts], "trying")
    assert paired_reductions(series, helps[0])[0] > 0
    assert paired_reductions(series, helps[1])[0] > paired_reductions(series, helps[0])[0]
    assert paired_reductions(series, hurts[1]) == []
    assert best_treatment(series, helps) == helps[1]
    assert len(paired_reductions(series, helps[1])) > 1  # more seeds
    rounds = [stage for stage in stages if stage.startswith("trying")]  # the others are results
    assert list(dict.fromkeys(rounds)) == ["trying", "trying: stronger", "trying: more seeds"]


def test_run_trial_series_makes_only_the_first_round_when_time_is_spent(
    context: RunContext,
) -> None:
    sequence = make_sequence(0.002, 0.004)
    series = TrialSeries(context, control_config(context), 40, TrialBudget(0.0), ignore_progress)
    series.full_length_factor = series.steps / context.total_steps
    run_trial_series(series, [sequence], "trying")
    assert {treatment for treatment, _ in series.results} == {None, sequence[0]}
