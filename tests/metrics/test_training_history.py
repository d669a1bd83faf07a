"""What records say, on records made up so that the answer is known."""

from __future__ import annotations

import math

import pytest

from descend.metrics import training_history
from descend.runs.events import Epoch, Step, WeightUpdateStats


def steps(losses: list[float], rate: float = 1.0, **other: object) -> list[Step]:
    return [
        Step(n + 1, 1, loss, 0.0, rate, 1.0, bool(other.get("clipped")), 0.1)
        for n, loss in enumerate(losses)
    ]


def epoch(number: int, validation: float) -> Epoch:
    return Epoch(number, number, 1, 1, 0, 0, validation, 0, 1, 1, 1)


def test_loss_at_start_is_one_for_uniform_prediction() -> None:
    assert training_history.initial_loss_ratio(steps([math.log(50)]), 50) == pytest.approx(1.0)
    assert training_history.initial_loss_ratio(steps([math.log(50)])[1:], 50) is None


def test_update_ratio_is_max_of_later_medians() -> None:
    made = [
        WeightUpdateStats(n, {}, {}, {"a": r, "b": 2 * r, "c": 9.0})
        for n, r in enumerate([5.0, 1.0, 2.0])
    ]
    assert training_history.update_to_weight_ratio(made) == 4.0
    assert training_history.update_to_weight_ratio(made[:1]) is None


def test_clipped_fraction_counts_clipped_steps() -> None:
    assert (
        training_history.clipped_step_fraction([*steps([1.0], clipped=True), *steps([1.0] * 3)])
        == 0.25
    )


def test_highest_after_start_is_relative_to_earlier_minimum() -> None:
    curve = [5.0] * 100 + [3.0] * 100 + [4.0] * 100
    assert training_history.max_loss_increase(steps(curve)) == pytest.approx(1.0)
    assert training_history.max_loss_increase(steps(sorted(curve, reverse=True))) == pytest.approx(
        0.0
    )


def test_epoch_metrics_compare_best_and_last_epoch() -> None:
    epochs = [epoch(1, 3.0), epoch(2, 2.5), epoch(3, 2.75)]
    assert training_history.validation_loss_increase_after_best(epochs) == 0.25
    assert training_history.last_epoch_loss_reduction(epochs) == -0.25
    assert training_history.validation_loss_increase_after_best(epochs[:1]) is None


def test_lr_fractions_match_the_schedule_when_it_warms_up_and_falls() -> None:
    made = [s for r in (0.5, 1.0, 1.0, 0.005) for s in steps([1.0], rate=r)]
    assert training_history.warmup_fraction(made) == 0.25
    assert training_history.final_lr_fraction(made) == 0.005
    assert training_history.final_lr_fraction(steps([1.0], rate=0.0)) is None
    assert training_history.near_zero_lr_fraction(made) == 0.25
