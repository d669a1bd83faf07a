"""Which effect of each cause counts, and how often each cause is the best."""

from __future__ import annotations

from dataclasses import replace

import pytest

from descend.diagnosis.effect_ranking import (
    UNTESTED_PROBABILITY,
    best_effect_per_cause,
    probability_best,
)

from .made_effects import gain


def test_best_effect_per_cause_prefers_a_significant_effect() -> None:
    large = replace(gain("a", 0.5), p_holm=0.3)
    best = best_effect_per_cause([large, gain("a", 0.2), gain("a", 0.1), gain("b", -0.1)])
    assert {cause: effect.mean_reduction for cause, effect in best.items()} == {
        "a": 0.2,
        "b": -0.1,
    }


def test_best_effect_per_cause_prefers_more_seeds_where_effects_are_as_good_as_equal() -> None:
    once = replace(gain("a", 0.52, 0.03), seeds=1)
    thrice = gain("a", 0.50, 0.01)
    for effects in ([once, thrice], [thrice, once]):
        assert best_effect_per_cause(effects)["a"] is thrice
    larger = replace(once, mean_reduction=0.6)
    assert best_effect_per_cause([larger, thrice])["a"] is larger


def test_neutral_treatments_preserve_healthy_probability() -> None:
    neutral = [gain(name, 0.004, 0.016) for name in "abcdefghi"]
    assert probability_best(neutral)["healthy"] == pytest.approx(1 - UNTESTED_PROBABILITY)
    # One that was measured worth having, and may be chance, does.
    assert 0.3 < probability_best([*neutral, gain("j", 0.05, 0.03)])["healthy"] < 0.7


def test_near_threshold_effect_lowers_healthy_probability() -> None:
    """By a hair is not as sure as can be: of 4 nats a bought gain counts from 0.12."""
    near = probability_best([gain("a", 0.119, 0.02, buys=True), gain("b", 0.0)])
    assert near["healthy"] == pytest.approx(0.5, abs=0.03)
    far = probability_best([gain("a", 0.05, 0.02, buys=True), gain("b", 0.0)])
    assert far["healthy"] == pytest.approx(1 - UNTESTED_PROBABILITY, abs=0.001)


def test_probability_favors_effect_with_smaller_error() -> None:
    # One seed that gained 0.11 within 0.11 says less than eight that gained 0.09 within 0.02.
    chances = probability_best([gain("swings", 0.11, 0.11), gain("sure", 0.09, 0.02)])
    assert chances["sure"] > chances["swings"]


def test_cause_probabilities_sum_to_one_minus_untested() -> None:
    chances = probability_best([gain("a", 0.1), gain("b", 0.1), gain("c", 0.0)])
    assert sum(chances.values()) == pytest.approx(1 - UNTESTED_PROBABILITY)
    assert chances["a"] == pytest.approx(chances["b"], abs=0.05)
    assert chances["c"] < 0.01
