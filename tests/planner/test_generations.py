"""Which models to train after a first one, within a time limit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from descend.planner.generations import (
    MAX_EPOCHS,
    MAX_MODELS,
    MAX_TEACHERS,
    MIN_LENGTH,
    MIN_PREFERRED_FRACTION,
    PREFERRED_EPOCHS,
    ROUND_SECONDS,
    TEACHER_LOSS,
    FirstModel,
    LaterModel,
    estimate_loss_ratio,
    generation_seconds,
    plan_later_models,
)


def seconds_of(models: list[LaterModel], first: FirstModel) -> float:
    """Seconds that the models take, one after the other."""
    return sum(ROUND_SECONDS + m.length * generation_seconds(first.seconds, m.num_teachers)
               for m in models)  # fmt: skip


@given(
    first=st.builds(FirstModel, st.floats(1.0, 1e5), st.floats(0.5, 12.0)),
    seconds=st.floats(0.0, 1e6), num_models=st.integers(1, MAX_MODELS),
)  # fmt: skip
def test_plan_later_models_fills_the_time_and_not_more(
    first: FirstModel, seconds: float, num_models: int
) -> None:
    models = plan_later_models(first, seconds, num_models)
    total, spent = num_models + len(models), seconds_of(models, first)
    max_length = max(1.0, MAX_EPOCHS / first.num_epochs)
    assert spent <= seconds * (1 + 1e-9)
    assert total <= MAX_MODELS
    assert all(MIN_LENGTH <= m.length <= max_length * (1 + 1e-9) for m in models)
    assert [m.num_teachers for m in models] == [
        min(num_models + n, MAX_TEACHERS) for n in range(len(models))
    ]
    if total < MAX_MODELS and (not models or models[-1].length < max_length):
        preferred = max(1.0, PREFERRED_EPOCHS / first.num_epochs)
        min_length = MIN_LENGTH if total == 1 else MIN_PREFERRED_FRACTION * preferred
        next_model = LaterModel(min(total, MAX_TEACHERS), min_length)
        assert spent + seconds_of([next_model], first) > seconds * (1 - 1e-9)


@pytest.mark.parametrize("num_epochs", [3.0, 6.0])
def test_plan_later_models_agrees_with_the_plan_for_what_is_left_of_the_time(
    num_epochs: float,
) -> None:
    first = FirstModel(100.0, num_epochs)
    models = plan_later_models(first, 800.0)
    assert len(models) >= 2
    left = 800.0 - seconds_of(models[:1], first)
    rest = plan_later_models(first, left, 2)
    assert [m.num_teachers for m in rest] == [m.num_teachers for m in models[1:]]
    assert [m.length for m in rest] == pytest.approx([m.length for m in models[1:]])


def test_loss_ratio_falls_with_teachers_and_epochs() -> None:
    assert len(TEACHER_LOSS) == MAX_TEACHERS + 1
    assert list(TEACHER_LOSS) == sorted(TEACHER_LOSS, reverse=True)
    first = FirstModel(100.0, 3.0)
    assert estimate_loss_ratio(first, []) == 1.0
    assert estimate_loss_ratio(first, [LaterModel(1, 1.0)]) == TEACHER_LOSS[1]
    longer = estimate_loss_ratio(first, [LaterModel(1, 2.0)])
    assert longer < TEACHER_LOSS[1]
    assert longer < estimate_loss_ratio(FirstModel(100.0, 6.0), [LaterModel(1, 2.0)])
