"""What a curve says of a run that still trains: alarms for bad ones, silence for the others."""

from __future__ import annotations

import math
import random

import pytest

from descend.loss_logs.run_check import CurveStep, RunCheck, check_curve

VOCAB = 512
START = math.log(VOCAB)
BASELINES = {"uniform": START, "unigram": 5.2, "bigram": 4.0}
TOTAL = 1000


def check(
    losses: list[float], rate: float = 0.001, validation: list[tuple[int, float]] | None = None
) -> RunCheck | None:
    steps = [CurveStep(n + 1, loss, rate) for n, loss in enumerate(losses)]
    return check_curve(
        steps, validation or [], total_steps=TOTAL, optimizer="muon", vocab_size=VOCAB,
        baselines=BASELINES,
    )  # fmt: skip


def falling(count: int, seed: int = 1) -> list[float]:
    """A curve as of a good run: steep first, then slower, with the noise of batches."""
    noise = random.Random(seed)
    return [2.0 + (START - 2.0) / (1 + n / 60) + noise.gauss(0, 0.08) for n in range(count)]


@pytest.mark.parametrize("count", [150, 200, 300, 500, 700, 1000])
@pytest.mark.parametrize("seed", range(5))
def test_good_curve_raises_no_alarm_at_any_length(count: int, seed: int) -> None:
    checked = check(falling(count, seed))
    assert checked is not None
    assert checked.cause is None


@pytest.mark.parametrize("count", [0, 1, 60, 99, 149])
def test_check_is_silent_when_a_run_has_hardly_begun(count: int) -> None:
    assert check(falling(count)) is None


def test_exploded_loss_is_named_diverged() -> None:
    losses = [*falling(300), *(2.5 + 0.1 * n for n in range(200))]
    checked = check(losses)
    assert checked is not None
    assert checked.cause == "diverged"
    assert checked.probability > 0.7
    assert checked.advice


def test_stuck_loss_at_a_tiny_rate_is_named_with_a_higher_rate() -> None:
    noise = random.Random(2)
    losses = [START - 0.0004 * n + noise.gauss(0, 0.05) for n in range(400)]
    checked = check(losses, rate=1e-5)
    assert checked is not None
    assert checked.cause == "learning_rate_too_low"
    assert checked.recommended_config["learning_rate"] > 5e-5


def test_validation_that_turns_is_named_too_little_data() -> None:
    losses = [0.3 + (START - 0.3) / (1 + n / 30) for n in range(800)]
    turning = [(100, 4.0), (200, 3.2), (300, 3.0), (400, 3.2), (600, 3.7), (800, 4.2)]
    checked = check(losses, validation=turning)
    assert checked is not None
    assert checked.cause == "too_little_data"
