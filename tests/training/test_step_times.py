"""What a step takes, measured between two looks."""

from __future__ import annotations

import pytest

from descend.training.end_step import MIN_MEASURED_STEPS
from descend.training.step_times import EVALUATION_STEP_RATIO, StepTimes


def test_measure_step_leaves_out_evaluations_and_needs_steps() -> None:
    times, elapsed = StepTimes(evaluation_steps=30.0), 10.0
    times.start_measuring(elapsed)
    for _ in range(MIN_MEASURED_STEPS - 1):
        times.add_step(2.0)
        elapsed += 2.0
    assert times.measure_step(elapsed) is None
    times.add_evaluation(100.0)
    times.add_step(2.0)
    assert times.measure_step(elapsed + 2.0 + 100.0) == pytest.approx(2.0)
    assert times.measure_step(elapsed + 2.0 + 100.0) is None  # measured anew


def test_evaluation_is_reckoned_from_steps_until_one_is_measured() -> None:
    times = StepTimes(evaluation_steps=30.0)
    times.add_step(2.0)
    assert times.evaluation_seconds == pytest.approx(30.0 * EVALUATION_STEP_RATIO * 2.0)
    times.add_evaluation(5.0)
    assert times.evaluation_seconds == 5.0
