"""How measurements order the causes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from descend.config import RunConfig
from descend.diagnosis.cause import ExpectedRange
from descend.diagnosis.causes import CAUSES
from descend.diagnosis.ranking import (
    cause_log_odds,
    contrary_evidence,
    is_usual,
    rank_causes,
    softmax_probabilities,
    supporting_evidence,
)
from descend.metrics.measurement import Measurement

GAP = Measurement("generalization_gap_nats", 1.0, "nats")
CAUSE = replace(
    CAUSES[0],
    name="gap",
    expected_ranges=(ExpectedRange(GAP.metric, 0.5, None, 2.0, "a wide gap", 0.5),),
    prior_log_odds=-1.0,
    exclusion_reason=lambda config, measurements: None,
)


def test_cause_log_odds_add_the_weight_when_the_metric_is_as_expected() -> None:
    assert cause_log_odds(CAUSE, {}) == -1.0
    assert cause_log_odds(CAUSE, {GAP.metric: GAP}) == 1.0
    narrow = Measurement(GAP.metric, 0.1, "nats")
    assert cause_log_odds(CAUSE, {GAP.metric: narrow}) == -1.5


def test_rank_causes_puts_an_excluded_cause_last() -> None:
    excluded = replace(
        CAUSE, name="excluded", prior_log_odds=9.0, exclusion_reason=lambda config, values: "no"
    )
    unlikely = replace(CAUSE, name="unlikely", prior_log_odds=-5.0)
    ranked = rank_causes([excluded, unlikely, CAUSE], RunConfig(), {GAP.metric: GAP})
    assert [each.cause.name for each in ranked] == ["gap", "unlikely", "excluded"]


def test_evidence_speaks_for_a_cause_when_it_is_expected_and_unusual() -> None:
    narrow = Measurement(GAP.metric, 0.1, "nats")
    assert is_usual(narrow)
    assert not is_usual(GAP)
    assert [e.value for e in supporting_evidence(CAUSE, {GAP.metric: GAP})] == [1.0]
    assert contrary_evidence(CAUSE, {GAP.metric: GAP}) == []
    assert [e.value for e in contrary_evidence(CAUSE, {GAP.metric: narrow})] == [0.1]
    assert supporting_evidence(CAUSE, {GAP.metric: narrow}) == []


def test_softmax_probabilities_are_equal_when_scores_are() -> None:
    assert softmax_probabilities([0.0, 0.0], 0.0) == pytest.approx([1 / 3] * 3)
