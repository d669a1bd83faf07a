"""One round of a trial series: what is tested, its verdict, and further seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from descend.diagnosis.cause import TreatmentChange
from descend.diagnosis.causes import CAUSES
from descend.diagnosis.ranking import RankedCause, rank_causes
from descend.diagnosis.run_context import RunContext
from descend.diagnosis.series_evaluation import (
    FIXED_BY_PARENT,
    add_seeds_until_decided,
    evaluate_series,
    limit_to_budget,
    treatment_sequences,
)
from descend.diagnosis.treatments import Treatment
from descend.diagnosis.trial_budget import TrialBudget
from descend.diagnosis.trial_length import seconds_for
from descend.diagnosis.trial_series import TrialSeries, make_series_spec
from descend.trials.cached_trial import cache_result

from .made_effects import LESS, RATE, make_result


@pytest.fixture
def ranked_causes(context: RunContext) -> list[RankedCause]:
    return rank_causes(CAUSES, context.config, {})


def add_results(series: TrialSeries, treatment: Treatment, reductions: Sequence[float]) -> None:
    """Controls that end at 4 nats, and trials that end lower by `reductions`, a seed each."""
    for seed, reduction in zip(series.seeds, reductions, strict=False):
        series.results[None, seed] = make_result(4.0)
        series.results[treatment, seed] = make_result(4.0 - reduction)


def test_treatment_sequences_leave_out_excluded_causes_and_divergence(
    context: RunContext, ranked_causes: list[RankedCause]
) -> None:
    excluded = ranked_causes[0].cause.name
    ranked_causes[0] = msgspec.structs.replace(ranked_causes[0], exclusion_reason="not this")
    sequences = treatment_sequences(context, context.config, ranked_causes, {})
    causes = [{treatment.cause for treatment in sequence} for sequence in sequences]
    assert all(len(names) == 1 for names in causes)
    order = [s.cause.name for s in ranked_causes]
    names = [name for (name,) in causes]
    assert names == sorted(names, key=order.index)
    assert "model_too_small" in names
    assert not {excluded, "diverged"} & set(names)


def test_a_change_that_begins_a_sequence_waits_for_no_other(
    context: RunContext, ranked_causes: list[RankedCause]
) -> None:
    config = context.config.model_copy(update={"learning_rate": 5.0})
    sequences = treatment_sequences(context, config, ranked_causes, {})
    rates = [
        [treatment.change.keys["learning_rate"] for treatment in sequence]
        for sequence in sequences
        if sequence[0].cause == "learning_rate_too_high"
    ]
    assert rates == [[0.003, 0.01], [0.001]]


def test_treatment_sequences_keep_the_shape_when_the_run_has_a_parent(
    context: RunContext, ranked_causes: list[RankedCause]
) -> None:
    child = context.with_parts(metadata=replace_parent(context, "older"))
    sequences = treatment_sequences(child, child.config, ranked_causes, {})
    changed = {key for sequence in sequences for t in sequence for key in t.change.keys}
    assert "learning_rate" in changed
    assert not changed & set(FIXED_BY_PARENT)
    assert set(FIXED_BY_PARENT) & {
        key
        for sequence in treatment_sequences(context, context.config, ranked_causes, {})
        for t in sequence
        for key in t.change.keys
    }


def replace_parent(context: RunContext, parent: str) -> object:
    return msgspec.structs.replace(context.metadata, parent=parent)


def test_limit_to_budget_keeps_the_first_sequences_that_fit(series: TrialSeries) -> None:
    sequences = [
        [Treatment("a", TreatmentChange(f"rate {rate}", {"learning_rate": rate}))]
        for rate in (0.002, 0.003, 0.004)
    ]
    two = seconds_for(series, [None, sequences[0][0], sequences[1][0]])
    for total, expected in ((0.0, 0), (1.01 * two, 2), (100 * two, 3)):
        series.budget = TrialBudget(total)
        assert limit_to_budget(series, sequences) == sequences[:expected]


def test_evaluate_series_recommends_the_treatment_that_helps_and_no_ablation(
    series: TrialSeries, ranked_causes: list[RankedCause]
) -> None:
    add_results(series, RATE, [0.5, 0.49, 0.51])
    verdict = evaluate_series(series, ranked_causes, {}, None)
    assert verdict.verdict == "learning_rate_too_low"
    assert verdict.findings[0].recommended_config["learning_rate"] == 0.003
    add_results(series, LESS, [-0.9, -0.9, -0.9])  # half the text costs as much
    recommended = {
        f.cause: f.recommended_config
        for f in evaluate_series(series, ranked_causes, {}, None).findings
    }
    assert recommended["too_little_data"] == {}
    assert recommended["learning_rate_too_low"]["learning_rate"] == 0.003


@pytest.fixture
def doubtful(series: TrialSeries, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> TrialSeries:
    """A treatment that gained on two of three seeds, and on all further ones, which are cached."""
    monkeypatch.setenv("DESCEND_CACHE_DIR", str(tmp_path / "cache"))
    add_results(series, RATE, [0.4, -0.1, 0.3])
    for seed in series.seeds[3:]:
        for treatment, loss in ((None, 4.0), (RATE, 3.8)):
            spec = make_series_spec(series, treatment, seed)
            assert spec is not None
            cache_result(msgspec.structs.replace(make_result(loss), key=spec.key))
    return series


def test_more_seeds_decide_a_doubtful_verdict(
    doubtful: TrialSeries, ranked_causes: list[RankedCause]
) -> None:
    doubtful.budget = TrialBudget(1e9)
    before = evaluate_series(doubtful, ranked_causes, {}, None)
    assert before.verdict == "unknown"
    assert [effect.treatment for effect in before.finalists] == [RATE]
    after = add_seeds_until_decided(doubtful, ranked_causes, {}, None, before)
    assert after.verdict == "learning_rate_too_low"
    num_seeds = len({seed for _, seed in doubtful.results})
    assert 3 < num_seeds < len(doubtful.seeds)  # until it is decided, and no longer


def test_no_seeds_are_added_when_the_verdict_is_sure_or_time_is_spent(
    doubtful: TrialSeries, ranked_causes: list[RankedCause]
) -> None:
    verdict = evaluate_series(doubtful, ranked_causes, {}, None)
    doubtful.budget = TrialBudget(0.0)
    assert add_seeds_until_decided(doubtful, ranked_causes, {}, None, verdict) is verdict
    doubtful.budget = TrialBudget(1e9)
    sure = replace(verdict, verdict="learning_rate_too_low", probability=0.9)
    assert add_seeds_until_decided(doubtful, ranked_causes, {}, None, sure) is sure
    assert len(doubtful.results) == 6
