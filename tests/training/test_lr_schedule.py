"""The rate over a run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from descend.config import make_config
from descend.training.lr_schedule import make_lr_schedule, schedule_phases

SINGLE = st.sampled_from(["constant", "linear", "cosine", "wsd"])


@given(SINGLE, st.integers(1, 400), st.integers(0, 100), st.floats(1e-5, 1.0))
def test_learning_rate_rises_to_peak_then_falls(
    schedule: str, steps: int, warmup: int, peak: float
) -> None:
    config = make_config({"schedule": schedule, "learning_rate": peak})
    rate = make_lr_schedule(config, min(warmup, steps), steps, lambda step: 1)
    rates = [rate(step) for step in range(steps)]
    assert all(0 < r <= peak for r in rates)
    highest = rates.index(max(rates))
    assert rates[: highest + 1] == sorted(rates[: highest + 1])
    assert rates[highest:] == sorted(rates[highest:], reverse=True)


@pytest.mark.parametrize(
    ("schedule", "quarter", "half", "last"),
    [("constant", 1, 1, 1), ("linear", 0.75, 0.5, 0.01), ("wsd", 1, 1, 0.02),
     ("cosine", 0.854, 0.5, 0.0002)],
)  # fmt: skip
def test_each_schedule_has_its_shape(
    schedule: str, quarter: float, half: float, last: float
) -> None:
    rate = make_lr_schedule(make_config({"schedule": schedule, "learning_rate": 1.0}), 0, 100, int)
    assert [rate(25), rate(50), rate(99)] == pytest.approx([quarter, half, last], abs=1e-3)


def test_warmup_rises_evenly_from_above_zero() -> None:
    config = make_config({"schedule": "constant", "learning_rate": 1.0})
    rate = make_lr_schedule(config, 4, 10, lambda step: 1)
    assert [rate(s) for s in range(6)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1])


def test_piecewise_schedule_uses_latest_named_epoch() -> None:
    config = make_config({"learning_rate": {2: 1e-3, 4: 5e-4}})
    rate = make_lr_schedule(config, 0, 60, lambda step: step // 10 + 1)
    assert [rate(s) for s in (0, 9, 10, 29, 30, 59)] == [1e-3, 1e-3, 1e-3, 1e-3, 5e-4, 5e-4]


@given(SINGLE, st.integers(2, 400), st.integers(0, 100))
def test_a_phase_begins_where_the_rate_turns(schedule: str, steps: int, warmup: int) -> None:
    config = make_config({"schedule": schedule, "learning_rate": 1.0})
    rate = make_lr_schedule(config, warmup, steps, lambda step: 1)
    for step, words in schedule_phases(config, warmup, steps):
        assert 0 < step < steps
        if words == "warmup ends":
            assert rate(step) >= rate(step - 1)
            assert step + 1 >= steps or rate(step + 1) <= rate(step)
        elif schedule == "wsd" and step > warmup + 1:
            assert rate(step - 1) == 1.0
            assert step + 1 >= steps or rate(step + 1) < 1.0
        elif step + 1 < steps:
            assert rate(step + 1) < rate(step)
