"""Intervals, p-values and their correction, against scipy and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from descend.trials.paired_stats import (
    Interval,
    holm_adjust,
    is_significant,
    paired_interval,
    paired_p_value,
)

differences = st.lists(st.floats(-5, 5).map(lambda x: round(x, 3)), min_size=2, max_size=9).filter(
    lambda xs: len(set(xs)) > 1
)


@given(differences, st.sampled_from([0.8, 0.95, 0.99]))
def test_paired_interval_without_prior_matches_scipy_t_test(xs: list[float], level: float) -> None:
    oracle = stats.ttest_1samp(xs, 0.0)
    low, high = oracle.confidence_interval(level)
    interval = paired_interval(xs, level=level)
    assert (interval.low, interval.high) == pytest.approx((low, high), rel=1e-9, abs=1e-9)
    assert paired_p_value(xs) == pytest.approx(oracle.pvalue, rel=1e-9)


def test_strong_prior_gives_normal_interval() -> None:
    xs = [0.1, 0.3]
    interval = paired_interval(xs, pooled_sd=0.5, pooled_df=10**9)
    assert interval.value == pytest.approx(0.2)
    assert interval.high - interval.value == pytest.approx(1.959964 * 0.5 / math.sqrt(2), rel=1e-5)
    assert interval != paired_interval(xs)


def test_moderated_interval_has_nominal_coverage() -> None:
    # True mean 1, spread 2, the prior measured on 6 degrees of freedom of the same spread.
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(2000):
        prior = math.sqrt(4 * rng.chisquare(6) / 6)
        interval = paired_interval(list(rng.normal(1, 2, 3)), pooled_sd=prior, pooled_df=6)
        covered += interval.low <= 1 <= interval.high
    # 0.95 within three standard errors of the count.
    assert abs(covered / 2000 - 0.95) < 3 * math.sqrt(0.95 * 0.05 / 2000)


def test_one_difference_alone_says_nothing_of_its_spread() -> None:
    assert paired_interval([0.4]) == Interval(0.4, -math.inf, math.inf)
    assert paired_p_value([0.4]) == 1.0
    # With a spread from elsewhere it does.
    assert paired_interval([0.4], pooled_sd=0.01, pooled_df=5).low > 0


def test_identical_differences_give_zero_width_interval() -> None:
    assert paired_interval([0.5, 0.5, 0.5]) == Interval(0.5, 0.5, 0.5)
    assert paired_p_value([0.5, 0.5]) == 0.0
    assert paired_p_value([0.0, 0.0]) == 1.0


def test_holm_by_hand() -> None:
    # Sorted .01 .02 .03 .04 times 4 3 2 1: .04 .06 .06 .04, made rising: .04 .06 .06 .06.
    assert holm_adjust([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm_adjust([0.9, 0.8]) == [1.0, 1.0]
    assert holm_adjust([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_values_lie_between_raw_and_bonferroni(ps: list[float]) -> None:
    adjusted_p_values = holm_adjust(ps)
    for raw, corrected in zip(ps, adjusted_p_values, strict=True):
        assert raw <= corrected <= min(1.0, raw * len(ps)) or corrected == max(
            c for p, c in zip(ps, adjusted_p_values, strict=True) if p <= raw
        )
    # Who was smaller stays smaller or becomes equal.
    order = sorted(range(len(ps)), key=lambda i: ps[i])
    assert [adjusted_p_values[i] for i in order] == sorted(adjusted_p_values)


def test_effect_is_significant_only_above_min_effect() -> None:
    assert is_significant(Interval(0.02, 0.005, 0.035), of=3.0)
    assert not is_significant(Interval(0.02, -0.001, 0.041), of=3.0)  # not certain
    assert not is_significant(Interval(0.012, 0.011, 0.013), of=3.0)  # below 0.5 % of 3
    assert is_significant(Interval(0.012, 0.011, 0.013), of=2.0)
    assert not is_significant(Interval(0.009, 0.008, 0.010), of=0.5)  # below 0.01 nat
