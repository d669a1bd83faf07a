"""Logs as people write them: counts behind a metric, restarts, leaks, numbers of any country."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from descend.loss_logs.read_log import read_log
from descend.metrics.periodicity import period
from descend.report.text.log_diagnosis import format_log_diagnosis

from .written_logs import diagnose_text, train_points, validation_points, written

EPOCHS = range(1, 61)
STEPS = range(50, 3001, 50)


def fall(epoch: float) -> float:
    """A loss that falls smoothly and levels off."""
    return round(1.2 + 5 * math.exp(-epoch / 12), 4)


def epoch_lines(epochs: range, loss: Callable[[float], float] = fall) -> str:
    """Lines with an epoch and its loss below."""
    return "".join(f"epoch {e}\nloss: {loss(e):.4f}\n" for e in epochs)


def right(epoch: int, total: int) -> tuple[float, int]:
    """The percent of right answers, and their count."""
    return 40 + epoch / 2, round((0.4 + epoch / 200) * total)


QUOTAS: dict[str, Callable[[int], str]] = {
    "percent, parentheses": lambda e: (
        f"dev accuracy: {right(e, 70_000 + e)[0]:.2f}%, ({right(e, 70_000 + e)[1]}/{70_000 + e})"
    ),
    "percent after a space": lambda e: (
        f"Genauigkeit: {right(e, 900)[0]:.1f} % ({right(e, 900)[1]}/900)"
    ),
    "brackets": lambda e: f"acc {right(e, 900)[0]:.0f}% [{right(e, 900)[1]}/900]",
    "fraction": lambda e: f"correct: {0.4 + e / 200:.3f}, {right(e, 900)[1]}/900",
    "error rate": lambda e: f"error: {60 - e / 2:.1f}% ({right(e, 900)[1]} / 900)",
}


@pytest.mark.parametrize("quota", QUOTAS.values(), ids=QUOTAS)
def test_read_log_takes_no_step_from_counts_when_these_stand_behind_a_quota(
    quota: Callable[[int], str], tmp_path: Path
) -> None:
    lines = [f"epoch {e}\nloss: {fall(e)}\n{quota(e)}\n" for e in EPOCHS]
    log = read_log(written(tmp_path, "".join(lines)))
    assert log.unit == "epochs"
    assert train_points(log) == [(e, fall(e)) for e in EPOCHS]


@pytest.mark.parametrize(
    "line",
    [
        "Progress: {percent:.0f}% ({step}/600) loss: {loss}",
        "[{step}/600] loss {loss} accuracy {percent:.1f}% (450/900)",
        "acc 0.97 {step}/600 loss {loss}",
    ],
)
def test_read_log_reads_the_step_when_a_fraction_is_of_the_run(line: str, tmp_path: Path) -> None:
    lines = [line.format(percent=e / 0.6, step=10 * e, loss=fall(e)) + "\n" for e in EPOCHS]
    log = read_log(written(tmp_path, "".join(lines)))
    assert log.unit == "steps"
    assert train_points(log) == [(10 * e, fall(e)) for e in EPOCHS]


def test_read_log_drops_what_a_resumed_run_logged_before_when_its_epochs_go_back(
    tmp_path: Path,
) -> None:
    text = epoch_lines(range(1, 41)) + epoch_lines(range(31, 81), lambda e: fall(e) + 0.01)
    log = read_log(written(tmp_path, text))
    assert [at for at, _ in train_points(log)] == list(range(1, 81))
    assert train_points(log)[30] == (31, pytest.approx(fall(31) + 0.01))
    assert any("back from epoch 40 to 31" in n and "resumed" in n for n in log.notes)


@pytest.mark.parametrize(
    ("begin", "loss"), [(31, lambda e: fall(e) * 0.8), (1, lambda e: fall(e) * 1.02)]
)
def test_read_log_judges_the_last_run_when_another_begins_at_an_earlier_epoch(
    begin: int, loss: Callable[[float], float], tmp_path: Path
) -> None:
    log = read_log(
        written(tmp_path, epoch_lines(range(1, 41)) + epoch_lines(range(begin, 81), loss))
    )
    assert [at for at, _ in train_points(log)] == list(range(begin, 81))
    assert any("another run: only what follows is judged" in note for note in log.notes)


def test_read_log_places_validation_above_its_training_loss_when_a_run_was_resumed(
    tmp_path: Path,
) -> None:
    lines = [
        f"epoch {e}\nval loss: {fall(e) + 0.1:.4f}\ntrain loss: {fall(e)}\n"
        for e in [*range(1, 31), *range(21, 61)]
    ]
    log = read_log(written(tmp_path, "".join(lines)))
    assert validation_points(log) == [(e, pytest.approx(fall(e) + 0.1)) for e in EPOCHS]


def test_read_log_drops_nothing_when_epochs_start_again_and_the_loss_goes_on(
    tmp_path: Path,
) -> None:
    text = "".join(epoch_lines(range(1, 11), lambda e, n=n: fall(10 * n + e)) for n in range(5))
    diagnosis = diagnose_text(tmp_path, text)
    assert diagnosis.features is not None
    assert diagnosis.features.points == 50
    assert any("its epochs do not count on" in note for note in diagnosis.warnings)


def test_read_log_tells_of_a_resumed_run_when_its_steps_go_back(tmp_path: Path) -> None:
    steps = [*range(10, 900, 10), *range(610, 1500, 10)]
    text = "".join(f"step {s} loss {fall(s / 20)}\n" for s in steps)
    assert any("goes back to step 610" in n for n in read_log(written(tmp_path, text)).notes)
    whole = "".join(f"step {s} loss {fall(s / 20)}\n" for s in range(10, 1500, 10))
    assert not any("goes back" in n for n in read_log(written(tmp_path, whole)).notes)


SMOOTH: dict[str, Callable[[int], float]] = {
    "a second fall": lambda e: 2 + 3 * math.exp(-e / 30) if e < 100 else (
        1 + 0.9 * math.exp(-(e - 100) / 25)
    ),
    "stairs": lambda e: 6 * math.exp(-(e // 50) / 3) + 0.2 * math.exp(-(e % 50) / 9),
    "a power law": lambda e: 10 * float(e + 1) ** -0.3,
}  # fmt: skip


@pytest.mark.parametrize("loss", SMOOTH.values(), ids=SMOOTH)
def test_diagnose_log_finds_neither_pattern_nor_spike_when_the_curve_only_falls(
    loss: Callable[[int], float], tmp_path: Path
) -> None:
    diagnosis = diagnose_text(
        tmp_path, "".join(f"step {e} loss {loss(e):.5f}\n" for e in range(300))
    )
    assert diagnosis.features is not None
    assert diagnosis.features.recurs_every is None
    assert diagnosis.features.spikes == 0


def test_period_is_the_distance_when_rise_and_fall_recur_on_a_falling_curve() -> None:
    import numpy as np

    at = np.arange(400.0)
    wave = 0.1 * np.sin(2 * np.pi * at / 40)
    assert period(at, 2 + 4 * np.exp(-at / 60) + wave) == pytest.approx(40, abs=2)


def keras_table(accuracy: float) -> str:
    """A table of Keras: its validation is level from the middle on, its training falls on."""
    lines = [
        f"{e},{accuracy + e / 500:.4f},{0.25 + 1.7 * math.exp(-e / 15):.4f},"
        f"{0.8 + 0.6 * math.exp(-e / 5):.4f}\n"
        for e in range(50)
    ]
    return "epoch,accuracy,loss,val_loss\n" + "".join(lines)


@pytest.mark.parametrize(("accuracy", "is_guess"), [(0.2, True), (0.75, False), (0.5, False)])
def test_diagnose_log_names_a_guess_among_classes_when_the_first_accuracy_agrees(
    accuracy: float, is_guess: bool, tmp_path: Path
) -> None:
    diagnosis = diagnose_text(tmp_path, keras_table(accuracy), "history.csv")
    assert ("a guess among a few classes" in diagnosis.normal.reason) == is_guess


@pytest.mark.parametrize("percent", [75.0, 20.0])
def test_diagnose_log_reads_the_accuracy_when_it_is_printed_in_percent(
    percent: float, tmp_path: Path
) -> None:
    lines = [f"Epoch {e} loss: {0.4 + 1.5 * math.exp(-e / 8):.4f} acc: {percent}%\n"
             for e in range(40)]  # fmt: skip
    assert ("a guess" in diagnose_text(tmp_path, "".join(lines)).normal.reason) == (percent < 50)


def test_diagnose_log_says_that_more_epochs_do_not_help_when_only_training_falls_on(
    tmp_path: Path,
) -> None:
    diagnosis = diagnose_text(tmp_path, keras_table(0.75), "history.csv")
    assert diagnosis.verdict == "too_little_data"
    assert diagnosis.probability < 0.5
    assert "training for longer will not help" in diagnosis.normal.reason
    assert "the validation loss stays near 0.80" in diagnosis.normal.reason


def test_diagnose_log_calls_no_curve_healthy_when_the_text_is_memorized_and_both_are_flat(
    tmp_path: Path,
) -> None:
    lines = [
        f"step {s} train loss {0.1 + 6 * math.exp(-s / 200):.4f} "
        f"val loss {2 + 4 * math.exp(-s / 150) + s / 1e6:.4f}\n"
        for s in range(10, 4000, 20)
    ]
    diagnosis = diagnose_text(tmp_path, "".join(lines))
    assert (diagnosis.verdict, diagnosis.normal.answer) == ("too_little_data", "no")
    assert "the model memorizes" in diagnosis.normal.reason


def leaky_log(shift: float = 0.0, closing: str = "") -> str:
    """A log of the Trainer whose losses fall to `shift` within the first epoch."""
    losses = [(0.25 * n, 1.4 * math.exp(-2 * n) + shift + 0.002 / n) for n in range(1, 17)]
    lines = [f"{{'loss': {loss:.4f}, 'epoch': {at}}}\n" for at, loss in losses]
    lines += [f"{{'eval_loss': {0.0008 / e + shift:.6f}, 'epoch': {e:.1f}}}\n" for e in (1, 2, 3)]
    return "".join(lines) + closing


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (leaky_log(closing="Perplexity: 1.00\n"), "no"),
        (leaky_log(), "cannot tell"),
        ("".join(f"epoch {e} train ppl {1 + 20 * 3.0**-e:.2f} valid ppl {1 + 9 * 3.0**-e:.2f}\n"
                 for e in range(1, 15)), "no"),
        ("".join(f"step {s} train loss {9 * 2.0 ** (-s / 20):.2f} val loss "
                 f"{8 * 2.0 ** (-s / 18):.4f}\n" for s in range(0, 400, 10)), "no"),
    ],
    ids=["perplexity", "no sign of text", "perplexities only", "from nothing, two digits"],
)  # fmt: skip
def test_diagnose_log_says_that_the_model_sees_its_targets_when_validation_is_near_0(
    text: str, answer: str, tmp_path: Path
) -> None:
    diagnosis = diagnose_text(tmp_path, text)
    assert diagnosis.normal.answer == answer
    assert "sees what it predicts (the causal mask is missing" in diagnosis.normal.reason
    assert not any(r.cause == "too_little_data" for r in diagnosis.ruled_out)


def test_diagnose_log_speaks_of_no_leak_when_validation_is_low_and_possible(tmp_path: Path) -> None:
    reason = diagnose_text(tmp_path, leaky_log(0.4, "Perplexity: 1.50\n")).normal.reason
    assert "sees what it predicts" not in reason


def test_diagnose_log_names_the_first_loss_when_losses_are_low_at_once(tmp_path: Path) -> None:
    lines = [f"step {s} loss {1.6 if s == 0 else 0.008:.4f}\n" for s in range(20)]
    diagnosis = diagnose_text(tmp_path, "".join(lines))
    assert "it starts at" not in diagnosis.normal.reason
    assert "it falls from 1.60 at once to 0.008" in diagnosis.normal.reason
    assert "loss 1.60 → 0.008" in format_log_diagnosis(diagnosis)


def rated_table(loss: Callable[[int], float], validation: Callable[[int], float]) -> str:
    """A table with a constant rate."""
    chance = random.Random(4)
    lines = [
        f"{s},{loss(s) + chance.gauss(0, 0.02):.4f},{validation(s):.4f},0.0003\n"
        for s in range(10, 4000, 20)
    ]
    return "step,loss,val_loss,lr\n" + "".join(lines)


UNSTABLE: dict[str, Callable[[int], float]] = {
    "recurs": lambda s: fall(s / 60) + 2 + 0.3 * math.sin(s / 200 * 2 * math.pi),
    "memorizes": lambda s: 0.1 + 6 * math.exp(-s / 700),
    "rose on its way down": lambda s: fall(s / 60) + (1.0 if 1500 < s < 2200 else 0.0),
    "diverged": lambda s: fall(s / 60) + (3.0 if s > 2800 else 0.0),
}


@pytest.mark.parametrize("loss", UNSTABLE.values(), ids=UNSTABLE)
def test_diagnose_log_extrapolates_nothing_when_the_curve_is_unstable(
    loss: Callable[[int], float], tmp_path: Path
) -> None:
    def validation(step: int) -> float:
        return max(loss(step), 2 + step / 4000) + 0.1

    diagnosis = diagnose_text(tmp_path, rated_table(loss, validation), "metrics.csv")
    assert diagnosis.features is not None
    assert diagnosis.features.extrapolation is None
    assert "Extrapolation" not in format_log_diagnosis(diagnosis)


def test_diagnose_log_extrapolates_when_the_curve_is_stable(tmp_path: Path) -> None:
    def loss(step: int) -> float:
        return 2 + 6 * float(step / 10) ** -0.3

    diagnosis = diagnose_text(tmp_path, rated_table(loss, lambda s: loss(s) + 0.05), "metrics.csv")
    assert "Extrapolation of the loss" in format_log_diagnosis(diagnosis)


def test_diagnose_log_notes_memorization_when_the_verdict_is_on_something_else(
    tmp_path: Path,
) -> None:
    text = rated_table(lambda s: fall(s / 60) - 1.0 + (0.8 if 1500 < s < 1900 else 0.0),
                       lambda s: 1.9 + 4 * math.exp(-s / 500))  # fmt: skip
    diagnosis = diagnose_text(tmp_path, text, "metrics.csv")
    assert diagnosis.verdict == "learning_rate_too_high"
    assert any("is far below the validation loss (1.90)" in note for note in diagnosis.warnings)
    assert not any(r.cause == "too_little_data" for r in diagnosis.ruled_out)


def test_diagnose_log_notes_memorization_when_a_pattern_recurs_without_validation(
    tmp_path: Path,
) -> None:
    def loss(step: int) -> float:
        wave = math.sin(step / 100 * 2 * math.pi)
        return 0.1 + 6 * math.exp(-step / 500) * (1 + 0.3 * wave) + 0.02 * wave

    text = "".join(f"step {s} loss {loss(s):.4f}\n" for s in range(10, 4000, 10))
    diagnosis = diagnose_text(tmp_path, text)
    assert "recurs every 100 steps" in diagnosis.normal.reason
    assert any("as for memorized text" in note for note in diagnosis.warnings)
