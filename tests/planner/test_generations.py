"""Which models to train after a first one, within a time limit."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from descend.planner.generations import (
    MAX_LENGTH,
    MAX_MODELS,
    MAX_TEACHERS,
    MIN_LATER_LENGTH,
    MIN_LENGTH,
    ROUND_SECONDS,
    TAUGHT_LOSS,
    LaterModel,
    generation_seconds,
    plan_later_models,
    taught_loss,
)


def seconds_of(models: list[LaterModel], base_seconds: float) -> float:
    """Seconds that the models take, one after the other."""
    return sum(ROUND_SECONDS + m.length * generation_seconds(base_seconds, m.num_teachers)
               for m in models)  # fmt: skip


@given(
    base_seconds=st.floats(1.0, 1e5), seconds=st.floats(0.0, 1e6),
    num_models=st.integers(1, MAX_MODELS),
)  # fmt: skip
def test_plan_later_models_fills_the_time_and_not_more(
    base_seconds: float, seconds: float, num_models: int
) -> None:
    models = plan_later_models(base_seconds, seconds, num_models)
    spent = seconds_of(models, base_seconds)
    assert spent <= seconds * (1 + 1e-9)
    assert num_models + len(models) <= MAX_MODELS
    assert all(MIN_LENGTH <= m.length <= MAX_LENGTH * (1 + 1e-9) for m in models)
    assert [m.num_teachers for m in models] == [
        min(num_models + n, MAX_TEACHERS) for n in range(len(models))
    ]
    if num_models + len(models) < MAX_MODELS and (not models or models[-1].length < MAX_LENGTH):
        min_length = MIN_LENGTH if num_models + len(models) == 1 else MIN_LATER_LENGTH
        next_model = LaterModel(min(num_models + len(models), MAX_TEACHERS), min_length)
        assert spent + seconds_of([next_model], base_seconds) > seconds * (1 - 1e-9)


def test_plan_later_models_agrees_with_the_plan_for_what_is_left_of_the_time() -> None:
    models = plan_later_models(100.0, 650.0)
    assert len(models) == 2
    left = 650.0 - seconds_of(models[:1], 100.0)
    assert plan_later_models(100.0, left, 2) == models[1:]


def test_taught_loss_falls_with_teachers_and_length() -> None:
    assert len(TAUGHT_LOSS) == MAX_TEACHERS + 1
    assert list(TAUGHT_LOSS) == sorted(TAUGHT_LOSS, reverse=True)
    assert taught_loss([]) == 1.0
    assert taught_loss([LaterModel(1, 0.8)]) == TAUGHT_LOSS[1]
    assert taught_loss([LaterModel(1, MAX_LENGTH)]) < TAUGHT_LOSS[1]
