"""How many models a time limit leaves room for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from descend.planner.generations import (
    MAX_MODELS,
    MAX_TEACHERS,
    ROUND_SECONDS,
    TAUGHT_LOSS,
    count_models,
    generation_seconds,
)


def seconds_of(num_models: int, base_seconds: float) -> float:
    """Seconds of so many models, one after the other."""
    later = range(1, num_models)
    return base_seconds + sum(
        generation_seconds(base_seconds, min(n, MAX_TEACHERS)) + ROUND_SECONDS for n in later
    )


@given(base_seconds=st.floats(1.0, 1e5), seconds=st.floats(0.0, 1e6))
def test_count_models_fills_the_time_and_not_more(base_seconds: float, seconds: float) -> None:
    number = count_models(base_seconds, seconds)
    assert 1 <= number <= MAX_MODELS
    assert number == 1 or seconds_of(number, base_seconds) <= seconds + 1e-6 * seconds
    assert number == MAX_MODELS or seconds_of(number + 1, base_seconds) > seconds * (1 - 1e-9)


def test_each_teacher_lowers_the_expected_loss() -> None:
    assert len(TAUGHT_LOSS) == MAX_TEACHERS + 1
    assert list(TAUGHT_LOSS) == sorted(TAUGHT_LOSS, reverse=True)
