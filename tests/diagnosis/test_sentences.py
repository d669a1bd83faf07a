"""The sentences of a diagnosis."""

from __future__ import annotations

from dataclasses import replace

from descend.diagnosis.causes import CAUSES
from descend.diagnosis.ranking import RankedCause
from descend.diagnosis.sentences import (
    describe_bad_step,
    describe_better_parent,
    describe_effect,
    describe_few_tokens,
    describe_trials,
    explain_other_cause,
)

from .made_effects import gain

RATE = next(c for c in CAUSES if c.name == "learning_rate_too_low")


def test_a_better_parent_is_named_with_both_losses() -> None:
    text = describe_better_parent(5.847, 6.291)
    assert "has the lower validation loss (5.847, this run 6.291)" in text


def test_better_worse_and_costs() -> None:
    assert (
        describe_effect("x", 0.02, (-0.01, 0.05))
        == "x ends 0.020 nats better (95 % CI -0.010 to 0.050)"
    )
    assert (
        describe_effect("x", -0.4, (-0.5, -0.3))
        == "x ends 0.400 nats worse (95 % CI 0.300 to 0.500)"
    )
    assert (
        describe_effect("x", -0.1, (-0.3, 0.1))
        == "x ends 0.100 nats worse (95 % CI -0.100 to 0.300)"
    )
    assert describe_effect("half the text", 0.3, (0.2, 0.4), is_ablation=True) == (
        "half the text costs 0.300 nats (95 % CI 0.200 to 0.400)"
    )
    assert (
        describe_effect("half the text", -0.1, None, is_ablation=True)
        == "half the text ends 0.100 nats better"
    )


def test_explain_other_cause_names_the_better_change() -> None:
    ranked, effect = RankedCause(RATE, 0.0, None), gain(RATE.name, 0.2)
    better = replace(effect, mean_reduction=0.5)
    assert "another change helps more" in explain_other_cause(ranked, {}, effect, True, better)
    excluded = RankedCause(RATE, 0.0, "it cannot be")
    assert explain_other_cause(excluded, {}, effect, True) == "it cannot be"


def test_describe_trials_says_when_a_sample_is_evaluated() -> None:
    text = " ".join(describe_trials(1000, 1.0, 8192, 11_300))
    assert "a sample of 8,192 of the 11,300 validation tokens" in text


def test_describe_trials_warns_only_when_trials_are_shorter() -> None:
    assert len(describe_trials(1000, 1.0, 500, 500)) == 1
    text = " ".join(describe_trials(1000, 0.25, 500, 500))
    assert "1,000 tokens (25% of the run)" in text
    assert "on a run of full length is extrapolated" in text


def test_describe_bad_step_names_an_explosion_or_the_problem() -> None:
    assert describe_bad_step("a gradient of inf", None) == "a gradient of inf"
    assert describe_bad_step("", 1000).endswith("which is 6.9")
    assert "not a finite number" in describe_bad_step("", None)


def test_describe_few_tokens_states_what_is_needed() -> None:
    assert "12 validation tokens" in describe_few_tokens(12.0, 1000)
    assert "so that there are 1,000" in describe_few_tokens(12.0, 1000)


def test_explain_other_cause_names_both_lengths_when_the_effect_is_too_small() -> None:
    small = replace(gain(RATE.name, 0.236), extrapolated_reduction=0.011)
    assert explain_other_cause(RankedCause(RATE, 0.0, None), {}, small, True) == (
        "learning_rate_too_low ends 0.236 nats better (95 % CI 0.216 to 0.256) in the short trial"
        " and about 0.011 at full length, below the minimum effect of interest (0.020)"
    )


def test_explain_other_cause_says_what_a_costly_change_gains_too_little_for() -> None:
    wide = replace(gain(RATE.name, 0.05, buys=True), cost_factor=2.61)
    reason = explain_other_cause(RankedCause(RATE, 0.0, None), {}, wide, True)
    assert reason.endswith(", too little for 2.6 times the training time (from 0.120)")
