"""What is ahead in a short trial is tried once at the full length of the run."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from descend.diagnosis.cause import TreatmentChange
from descend.diagnosis.effects import TreatmentEffect, estimate_effects, lasting_fraction
from descend.diagnosis.findings import to_paired_trial
from descend.diagnosis.full_length_trials import run_full_length_trials
from descend.diagnosis.measure import run_validation_loss
from descend.diagnosis.run_context import RunContext
from descend.diagnosis.treatments import Treatment
from descend.diagnosis.trial_budget import TrialBudget
from descend.diagnosis.trial_rounds import run_more_seeds
from descend.diagnosis.trial_series import (
    TrialSeries,
    full_length_treatment,
    list_treatments,
    make_series_spec,
    run_series_trials,
)
from descend.diagnosis.verdict import Verdict
from descend.report.text.diagnosis_summary import format_trial

from .made_effects import gain, make_result

SLOW_RATE = Treatment(
    "learning_rate_too_high", TreatmentChange("1/100 of the rate", {"learning_rate": 1e-5})
)


@pytest.fixture
def short_series(series: TrialSeries) -> TrialSeries:
    """A series of a third of the run, with time."""
    steps = series.recorded_run.total_steps // 3
    return replace(series, steps=steps, budget=TrialBudget(600.0), results={})


def claim(treatment: Treatment) -> Verdict:
    """A verdict on the ground of a large gain of `treatment` in short trials."""
    effect = replace(gain(treatment.cause, 0.4), treatment=treatment)
    assert effect.is_significant
    return Verdict(treatment.cause, 0.9, [], [], effect, (), {treatment.cause: effect})


def own_loss(context: RunContext, series: TrialSeries) -> float:
    control = make_series_spec(series, None, series.seed)
    assert control is not None
    loss = run_validation_loss(context, control.evaluation_tokens)
    assert loss is not None
    return loss


def test_effect_that_does_not_last_is_no_cause(
    context: RunContext, short_series: TrialSeries
) -> None:
    own = own_loss(context, short_series)
    seed = short_series.seed
    run_series_trials(short_series, [(None, seed), (SLOW_RATE, seed)], "testing")
    assert run_full_length_trials(short_series, claim(SLOW_RATE), own)
    longer = full_length_treatment(short_series, SLOW_RATE)
    assert short_series.results[longer, seed].steps == context.total_steps
    assert list_treatments(short_series) == [SLOW_RATE]
    (effect,) = estimate_effects(short_series, own)
    assert effect.measured_full_length_reduction is not None
    assert effect.measured_full_length_reduction < -0.1  # so slow a rate learns little
    assert effect.full_length_reduction <= effect.measured_full_length_reduction
    as_claimed = replace(effect, mean_reduction=0.4, low=0.38, high=0.42, p_holm=0.001)
    assert not as_claimed.is_significant
    trial = to_paired_trial(as_claimed, short_series.run_fraction)
    assert f"At full length: {effect.measured_full_length_reduction:.2f} nats" in format_trial(
        trial
    )
    assert not run_full_length_trials(short_series, claim(SLOW_RATE), own)  # once is enough


def test_sure_lead_that_is_expected_to_fade_is_tried_at_full_length(
    context: RunContext, short_series: TrialSeries
) -> None:
    fading = replace(gain(SLOW_RATE.cause, 0.2), treatment=SLOW_RATE, extrapolated_reduction=0.001)
    chance = replace(fading, p_holm=0.5)
    run_series_trials(short_series, [(x, short_series.seed) for x in (None, SLOW_RATE)], "testing")
    own = own_loss(context, short_series)
    for effect, is_tried in ((chance, False), (fading, True)):
        verdict = Verdict("healthy", 0.9, [], [], None, (), {SLOW_RATE.cause: effect})
        assert run_full_length_trials(short_series, verdict, own) == is_tried


def test_same_settings_at_full_length_are_the_run_itself(
    context: RunContext, short_series: TrialSeries
) -> None:
    same = Treatment("bad_schedule", TreatmentChange("the same", {"weight_decay": 0.1}))
    assert short_series.base.weight_decay == 0.1
    own = own_loss(context, short_series)
    run_series_trials(short_series, [(None, short_series.seed), (same, short_series.seed)], "t")
    assert run_full_length_trials(short_series, claim(same), own)
    longer = full_length_treatment(short_series, same)
    assert short_series.results[longer, short_series.seed].validation_loss == pytest.approx(
        own, abs=0.02
    )


def without_time(series: TrialSeries) -> TrialSeries:
    return replace(series, budget=TrialBudget(0.0))


def of_full_length(series: TrialSeries) -> TrialSeries:
    return replace(series, steps=series.recorded_run.total_steps)


@pytest.mark.parametrize("change", [without_time, of_full_length])
def test_full_length_is_not_tried_without_time_or_need(
    short_series: TrialSeries, change: object
) -> None:
    assert callable(change)
    series = change(short_series)
    series.results[SLOW_RATE, series.seed] = make_result(3.6)
    assert not run_full_length_trials(series, claim(SLOW_RATE), 3.0)
    assert len(series.results) == 1


def test_text_that_was_taken_away_is_not_tried_at_full_length(short_series: TrialSeries) -> None:
    less = Treatment("too_little_data", TreatmentChange("half the text", {}, is_ablation=True))
    assert not run_full_length_trials(short_series, claim(less), 3.0)


def test_expected_effect_stays_where_none_was_measured() -> None:
    effect: TreatmentEffect = gain("learning_rate_too_low", 0.2)
    assert effect.measured_full_length_reduction is None
    assert math.isclose(effect.full_length_reduction, 0.2)


def test_head_start_that_is_lost_gives_no_credit_to_the_others(
    context: RunContext, short_series: TrialSeries
) -> None:
    seed, own = short_series.seed, 3.0
    other = Treatment("batch_too_large", TreatmentChange("half the batch", {"batch_size": 2}))
    short = {None: 4.0, SLOW_RATE: 3.6, other: 3.8}
    for treatment, loss in short.items():
        short_series.results[treatment, seed] = make_result(loss)
    before = {e.treatment: e.full_length_reduction for e in estimate_effects(short_series, own)}
    longer = full_length_treatment(short_series, SLOW_RATE)
    short_series.results[longer, seed] = make_result(2.9)  # 0.1 of 0.4 is left
    effects = {e.treatment: e for e in estimate_effects(short_series, own)}
    remaining = 0.1 / before[SLOW_RATE]
    assert effects[SLOW_RATE].full_length_reduction == pytest.approx(0.1)
    assert effects[other].full_length_reduction == pytest.approx(remaining * before[other])
    assert lasting_fraction(short_series, list(effects.values())) == pytest.approx(remaining)
    short_series.results[longer, seed] = make_result(3.2)
    effects = {e.treatment: e for e in estimate_effects(short_series, own)}
    assert effects[other].full_length_reduction == 0.0
    assert effects[other].is_doubtful
    assert effects[SLOW_RATE].measured_full_length_reduction == pytest.approx(-0.2)
    assert not effects[SLOW_RATE].is_significant


def test_treatment_that_lost_its_head_start_gets_no_more_seeds(
    context: RunContext, short_series: TrialSeries
) -> None:
    short_series.results[None, short_series.seed] = make_result(4.0)
    short_series.results[SLOW_RATE, short_series.seed] = make_result(3.6)
    short_series.fading_treatments.add(SLOW_RATE)
    run_more_seeds(short_series, [[SLOW_RATE]], "testing")
    assert len(short_series.results) == 2
