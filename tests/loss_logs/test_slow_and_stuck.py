"""Curves that fall and are not normal: too slow, or stuck at the frequencies of tokens."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from descend.loss_logs.diagnose_log import LogDiagnosis, diagnose_log

STEPS = 3000


def diagnose_curve(
    tmp_path: Path,
    loss: Callable[[float], float],
    *,
    rate: float | None = None,
    validation_gap: float | None = 0.05,
) -> LogDiagnosis:
    """The diagnosis of a table of 200 noisy losses, `loss` by the fraction of the run."""
    draw, path = random.Random(7), tmp_path / "run.csv"
    rows = ["step,train_loss,val_loss,lr"]
    for n in range(201):
        share = n / 200
        validation = (
            "" if validation_gap is None or n % 20 else f"{loss(share) + validation_gap:.4f}"
        )
        rows.append(
            f"{share * STEPS:.0f},{loss(share) + draw.gauss(0, 0.03):.4f},{validation},"
            f"{'' if rate is None else rate}"
        )
    path.write_text("\n".join(rows))
    return diagnose_log(path)


def stuck(start: float, level: float) -> Callable[[float], float]:
    """A fall in the first twentieth of the run to a level with waves."""
    return lambda share: (
        level + (start - level) * math.exp(-40 * share) + 0.05 * math.sin(9 * share)
    )


@pytest.mark.parametrize("start", [9.2, 10.4, 12.2])
def test_a_level_at_the_frequencies_of_tokens_is_not_normal(start: float, tmp_path: Path) -> None:
    unknown_rate = diagnose_curve(tmp_path, stuck(start, 7.3))
    assert (unknown_rate.verdict, unknown_rate.normal.answer) == ("learning_rate_too_high", "no")
    usual_rate = diagnose_curve(tmp_path, stuck(start, 7.3), rate=6e-4)
    assert (usual_rate.verdict, usual_rate.normal.answer) == ("unknown", "no")


def test_a_level_of_characters_at_their_frequencies_is_not_called_normal(tmp_path: Path) -> None:
    assert diagnose_curve(tmp_path, stuck(4.6, 3.3)).normal.answer == "cannot tell"
    assert diagnose_curve(tmp_path, stuck(4.6, 3.3), rate=0.02).normal.answer == "no"


def test_a_level_far_below_the_frequencies_is_healthy(tmp_path: Path) -> None:
    diagnosis = diagnose_curve(tmp_path, stuck(10.8, 3.2), rate=6e-4)
    assert (diagnosis.verdict, diagnosis.normal.answer) == ("healthy", "yes")


@pytest.mark.parametrize("end", [8.0, 9.0])
@pytest.mark.parametrize("rate", [None, 3e-7])
def test_a_slow_fall_is_not_normal(end: float, rate: float | None, tmp_path: Path) -> None:
    diagnosis = diagnose_curve(tmp_path, lambda share: 10.8 - (10.8 - end) * share, rate=rate)
    assert diagnosis.normal.answer == "no"
    if rate is not None or end > 8.5:
        assert diagnosis.verdict == "learning_rate_too_low"


def test_a_tiny_rate_is_too_low_for_further_training_too(tmp_path: Path) -> None:
    diagnosis = diagnose_curve(tmp_path, lambda share: 1.9 - 0.3 * share, rate=2e-7)
    assert (diagnosis.verdict, diagnosis.normal.answer) == ("learning_rate_too_low", "no")


def test_further_training_may_fall_a_little(tmp_path: Path) -> None:
    diagnosis = diagnose_curve(tmp_path, lambda share: 1.5 - 0.15 * share, rate=2e-4)
    assert diagnosis.normal.answer == "yes"


def test_a_loss_that_ends_above_its_start_speaks_for_the_rate(tmp_path: Path) -> None:
    diagnosis = diagnose_curve(tmp_path, lambda share: 1.6 + 0.6 * share, rate=5e-3)
    assert (diagnosis.verdict, diagnosis.normal.answer) == ("learning_rate_too_high", "no")


def test_one_point_an_epoch_begins_after_an_epoch(tmp_path: Path) -> None:
    path = tmp_path / "run.csv"
    falling = [f"{e},{3.2 + 0.3 / e:.4f},{3.25 + 0.3 / e:.4f}" for e in range(1, 16)]
    path.write_text("\n".join(["epoch,train_loss,val_loss", *falling]))
    assert diagnose_log(path).normal.answer == "yes"
    draw = random.Random(3)
    level = [6.7 + draw.gauss(0, 0.06) for _ in range(15)]
    rows = [f"{e},{x:.4f},{x + 0.02:.4f}" for e, x in enumerate(level)]
    path.write_text("\n".join(["epoch,train_loss,val_loss", *rows]))
    diagnosis = diagnose_log(path)
    assert (diagnosis.verdict, diagnosis.normal.answer) == ("learning_rate_too_high", "no")


def test_losses_that_wander_together_do_not_overfit(tmp_path: Path) -> None:
    wander = [0.0, -0.4, -0.1, -0.6, -0.2, -0.3, -0.05]

    def loss(share: float) -> float:
        return 4.0 + wander[min(6, int(7 * share))]

    assert diagnose_curve(tmp_path, loss).verdict != "too_little_data"
