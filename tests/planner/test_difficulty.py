"""The difficulty of texts and the interval of the law are those that were measured."""

from __future__ import annotations

import math
from pathlib import Path
from types import ModuleType

import pytest

from descend.planner import corpus_profile
from descend.planner.scaling_law import load_scaling_law
from script_loading import load_script

DIFFICULTY = Path(__file__).parents[2] / "benchmarks/plan/difficulty.py"


@pytest.fixture(scope="module")
def difficulty() -> ModuleType:
    return load_script(DIFFICULTY)


def test_the_interval_of_the_law_is_as_wide_as_new_texts_were_off(difficulty: ModuleType) -> None:
    runs = difficulty.read_runs()
    assert len({run.text for run in runs}) >= 20
    errors = [five_gram for five_gram, _ in difficulty.leave_out_errors(runs)]
    measured = difficulty.deviation_of(errors)
    assert load_scaling_law().text_deviation == pytest.approx(measured, abs=0.005)
    # What is simpler would have to be about as good to be kept instead.
    trigrams = [trigram for _, trigram in difficulty.leave_out_errors(runs)]
    assert measured < difficulty.deviation_of(trigrams) / 2


def test_the_difficulty_is_that_of_the_fit(difficulty: ModuleType) -> None:
    slope, intercept = difficulty.fit_line(difficulty.read_runs())
    assert pytest.approx(math.exp(intercept), rel=0.01) == corpus_profile.DIFFICULTY_PER_FIVE_GRAM
    assert pytest.approx(slope, abs=0.02) == corpus_profile.DIFFICULTY_POWER
