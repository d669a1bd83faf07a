"""Losses that begin anew each epoch, as sums do, are no divergence."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import pytest

from descend.loss_logs.diagnose_log import LogDiagnosis, diagnose_log
from descend.loss_logs.epoch_pattern import has_pattern
from descend.loss_logs.epoch_sums import are_sums
from descend.loss_logs.read_log import read_log

from .written_logs import Layout, steps_alone, train_losses, written


def epochs_and_steps(epoch: int, line: int, loss: float) -> str:
    """A line that names both."""
    return f"Epoch {epoch + 1}, step {50 * (line + 1)}, loss: {loss:.4f}"


def bracketed(epoch: int, line: int, loss: float) -> str:
    """A line of PyTorch's tutorial for images."""
    return f"[{epoch + 1}, {50 * (line + 1):5d}] loss: {loss:.4f}"


def epochs_alone(epoch: int, line: int, loss: float) -> str:
    """A line that names the epoch."""
    return f"epoch {epoch + 1} loss {loss:.4f}"


def losses_alone(epoch: int, line: int, loss: float) -> str:
    """A line without a counter."""
    return f"loss: {loss:.4f}"


def means(epochs: int, lines: int = 6) -> list[list[float]]:
    """Losses that fall, by epoch."""
    return [[1.4 + 2.5 / (1 + 0.3 * (lines * e + n)) for n in range(lines)] for e in range(epochs)]


def summed(tmp_path: Path, layout: Layout, epochs: Sequence[Sequence[float]]) -> LogDiagnosis:
    """The diagnosis of a log whose losses are added up within each epoch."""
    lines = [
        layout(e, n, loss)
        for e, epoch in enumerate(epochs)
        for n, loss in enumerate(accumulate(epoch))
    ]
    return diagnose_log(written(tmp_path, lines))


@pytest.mark.parametrize(
    "layout", [epochs_and_steps, bracketed, steps_alone, epochs_alone, losses_alone]
)
def test_sums_within_an_epoch_are_no_divergence(layout: Layout, tmp_path: Path) -> None:
    losses = means(4)
    diagnosis = summed(tmp_path, layout, losses)
    assert (diagnosis.normal.answer, diagnosis.verdict) == ("cannot tell", "unknown")
    assert "sums within an epoch" in diagnosis.normal.reason
    first, last = sum(losses[0]), sum(losses[-1])
    assert f"from {first:.2f} to {last:.2f} at the same place" in diagnosis.normal.reason
    assert diagnosis.features is not None
    assert diagnosis.features.first == pytest.approx(losses[0][0], abs=1e-3)
    assert diagnosis.features.end == pytest.approx(losses[-1][-1], abs=1e-3)


def test_an_epoch_that_is_under_way_is_compared_at_its_place(tmp_path: Path) -> None:
    losses = means(4)
    losses[-1] = losses[-1][:4]
    reason = summed(tmp_path, epochs_and_steps, losses).normal.reason
    assert f"from {sum(losses[0][:4]):.2f} to {sum(losses[-1]):.2f} at the same" in reason


def test_sums_that_grow_from_epoch_to_epoch_have_diverged(tmp_path: Path) -> None:
    losses = [[2.0 * 1.8**e] * 6 for e in range(5)]
    assert summed(tmp_path, epochs_and_steps, losses).verdict == "diverged"


def test_the_vocabulary_says_nothing_of_the_level_of_sums(tmp_path: Path) -> None:
    summed(tmp_path, epochs_and_steps, [[x / 50 for x in epoch] for epoch in means(4)])
    diagnosis = diagnose_log(tmp_path / "train.log", vocab_size=65)
    assert "sums within an epoch" in diagnosis.normal.reason
    assert diagnosis.normal.band.start_low is None
    assert not any("memorized" in note for note in diagnosis.warnings)


def test_a_shorter_distance_at_the_end_of_an_epoch_is_no_lower_loss(tmp_path: Path) -> None:
    places = [100, 200, 300, 400, 420]
    lines = [
        f"Epoch {e + 1} step {at}/420 loss {3.0 * at / 100:.3f}" for e in range(3) for at in places
    ]
    assert train_losses(read_log(written(tmp_path, lines))) == pytest.approx([3.0] * 15)


def test_a_sum_begun_at_step_0_leaves_its_first_line_out(tmp_path: Path) -> None:
    lines = [
        f"Epoch {e + 1} step {at}/400 loss {3.0 * (at + 1) / 100:.3f}"
        for e in range(3)
        for at in (0, 100, 200, 300)
    ]
    assert train_losses(read_log(written(tmp_path, lines))) == pytest.approx([3.0] * 9)


def test_no_other_rise_is_a_sum() -> None:
    draw = random.Random(3)
    noise = [[3 + draw.gauss(0, 0.3) for _ in range(6)] for _ in range(4)]
    assert not are_sums(noise)
    assert not are_sums([[3.0, 3.2, 3.5, 3.6]] * 4)  # from a loss and not from 0
    assert not are_sums([[1.0, 2.0, 4.0, 8.0, 16.0]] * 2)  # exploded, went back, exploded
    assert not are_sums([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]])  # nothing begins anew
    assert are_sums([[3.0, 5.9, 8.7, 11.4], [2.2, 4.3, 6.4, 8.4]])


def sawtooth(tmp_path: Path, epochs: Sequence[float], rise: float) -> LogDiagnosis:
    """The diagnosis of epochs at these levels that each rise, as means that begin anew may."""
    lines = [
        epochs_and_steps(e, n, level + rise * n / 7) for e, level in enumerate(epochs)
        for n in range(8)
    ]  # fmt: skip
    return diagnose_log(written(tmp_path, lines))


def test_a_rise_in_each_epoch_is_no_divergence_where_its_level_falls(tmp_path: Path) -> None:
    diagnosis = sawtooth(tmp_path, [3.4, 2.6, 2.3, 2.1, 2.0], 0.9)
    assert diagnosis.features is not None
    assert diagnosis.features.highest_rise > 0.5
    assert diagnosis.verdict not in ("diverged", "learning_rate_too_high")
    assert any("recurs each epoch" in note for note in diagnosis.warnings)


def test_a_rise_in_each_epoch_hides_no_divergence(tmp_path: Path) -> None:
    assert sawtooth(tmp_path, [3.4, 2.6, 2.4, 3.2, 3.6], 0.9).verdict == "diverged"


def test_noise_is_no_pattern_of_epochs() -> None:
    draw = random.Random(11)
    noise = [
        [[2 + draw.gauss(0, 0.2) for _ in range(5)] for _ in range(5)] for _ in range(300)
    ]  # fmt: skip
    assert sum(map(has_pattern, noise)) <= 3
    pattern = [0.0, 0.3, 0.1, 0.4, 0.2]
    assert has_pattern([[2 - e / 10 + x for x in pattern] for e in range(5)])


def test_an_epoch_and_a_step_in_brackets_are_places(tmp_path: Path) -> None:
    lines = [bracketed(e, n, 2.2 - e / 5 - n / 50) for e in range(3) for n in range(4)]
    log = read_log(written(tmp_path, lines))
    assert (log.unit, log.epoch_starts) == ("steps", [250, 450])
    assert [e.position for e in log.entries] == [50 * (n + 1) for n in range(12)]
