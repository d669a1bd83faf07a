"""How a run goes, for somebody who watches."""

from __future__ import annotations

import random

import pytest

from descend.report.text.live_sentence import (
    MIN_STEPS_FOR_TREND,
    describe_learning,
    describe_trend,
)

BASELINES = {"uniform": 8.0, "unigram": 6.0, "bigram": 3.0}


@pytest.mark.parametrize(("loss", "sentence"), [
    (8.0, "It still guesses almost at random."),
    (7.1, "It still guesses almost at random."),
    (6.5, "It is learning which tokens are frequent."),
    (4.0, "It knows which tokens are frequent, and learns which follow which."),
    (2.0, "It uses more context than the previous token."),
])  # fmt: skip
def test_what_was_learned_follows_the_baselines(loss: float, sentence: str) -> None:
    assert describe_learning(loss, BASELINES) == sentence


def test_trend_needs_steps_and_a_difference() -> None:
    falling = [8 - n / 100 for n in range(400)]
    assert describe_trend(falling[: MIN_STEPS_FOR_TREND - 1]) == ""
    assert describe_trend(falling) == "The loss is falling."
    assert describe_trend(falling[::-1]) == "The loss is rising."
    assert describe_trend([2.0] * 400) == "The loss hardly falls any more."


def test_trend_says_nothing_when_the_noise_is_larger_than_the_change() -> None:
    def noisy(slope: float) -> list[float]:
        pick = random.Random(3)
        return [4 + slope * n + pick.gauss(0, 0.15) for n in range(110)]

    assert describe_trend(noisy(0.0)) == ""
    assert describe_trend(noisy(-0.03)) == "The loss is falling."
    assert describe_trend(noisy(0.03)) == "The loss is rising."


def test_trend_of_a_run_that_diverges_is_no_rest() -> None:
    assert describe_trend([2.0] * 390 + [float("inf")] * 10) == "The loss is rising."
    assert describe_trend([2.0] * 390 + [float("nan")] * 10) == ""
