"""A run in which nothing is trained is named, by its gradient or by its loss of two answers."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from descend.loss_logs.diagnose_log import LogDiagnosis, diagnose_log

from .written_logs import written

COUNT = 60


def diagnose_preferences(
    tmp_path: Path, margin: Callable[[int], float], norm: float | None, names: bool = True
) -> LogDiagnosis:
    """The diagnosis of a DPO log with these margins; the loss is what they cost."""
    lines = []
    for n in range(1, COUNT + 1):
        row = {"loss": round(math.log1p(math.exp(-margin(n))), 4), "learning_rate": 5e-7}
        row |= {} if norm is None else {"grad_norm": norm}
        if names:
            row |= {"rewards/margins": round(margin(n), 6), "rewards/accuracies": 0.5}
        lines.append(str(row | {"logits/chosen": -2.5, "epoch": round(n / COUNT, 3)}))
    return diagnose_log(written(tmp_path, lines))


def chance(n: int) -> float:
    """A margin of 0 on average, as numbers of 16 bits give."""
    return random.Random(n).gauss(0, 0.003)


@pytest.mark.parametrize("names", [True, False])
@pytest.mark.parametrize("norm", [0.0, 3.2, None])
@pytest.mark.parametrize("margin", [lambda n: 0.0, chance])
def test_a_preference_loss_at_ln_2(
    margin: Callable[[int], float], norm: float | None, names: bool, tmp_path: Path
) -> None:
    diagnosis = diagnose_preferences(tmp_path, margin, norm, names)
    assert diagnosis.normal.answer == "no"
    reason = diagnosis.normal.reason
    assert "ln 2" in reason
    assert "nothing is learned" in reason
    assert ("margins of the rewards at" in reason) == names
    assert ("no parameter is trained" in reason) == (norm == 0)
    assert ("requires_grad" in diagnosis.advice) == (norm == 0)


@pytest.mark.parametrize("slope", [0.0002, 0.01])
def test_margins_that_rise_are_learned(slope: float, tmp_path: Path) -> None:
    diagnosis = diagnose_preferences(tmp_path, lambda n: slope * n + 0.1 * chance(n), 3.2)
    assert "nothing is learned" not in diagnosis.normal.reason
    assert diagnosis.normal.answer == "cannot tell"


def write_language_model(tmp_path: Path, fall: float, norm: float) -> Path:
    """A log of the Trainer with a gradient norm."""
    rng = random.Random(3)
    rows = [
        {"loss": round(2.5 - fall * n / COUNT + rng.gauss(0, 0.03), 4), "grad_norm": norm,
         "learning_rate": 2e-4, "epoch": round(n / COUNT, 3)}
        for n in range(COUNT)
    ]  # fmt: skip
    return written(tmp_path, [str(row) for row in rows])


def test_a_gradient_of_zero_trains_no_parameter(tmp_path: Path) -> None:
    diagnosis = diagnose_log(write_language_model(tmp_path, 0.0, 0.0))
    assert diagnosis.normal.answer == "no"
    assert "gradient norm is exactly 0 in all 60 entries" in diagnosis.normal.reason
    assert "adapter" in diagnosis.advice


@pytest.mark.parametrize(("fall", "norm"), [(0.5, 0.0), (0.0, 0.01)])
def test_a_loss_that_falls_or_a_gradient_above_zero(
    fall: float, norm: float, tmp_path: Path
) -> None:
    diagnosis = diagnose_log(write_language_model(tmp_path, fall, norm))
    assert "no parameter is trained" not in diagnosis.normal.reason
