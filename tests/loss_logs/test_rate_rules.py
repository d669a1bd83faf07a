"""A logged rate that has become practically zero is named where the loss stands still."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from descend.loss_logs.diagnose_log import LogDiagnosis, diagnose_log
from descend.report.text.log_diagnosis import format_log_diagnosis

from .written_logs import written

LENGTH = 20_000
STEPS = range(100, LENGTH + 1, 100)
PEAK = 1e-3


def halved(step: int) -> float:
    """A rate that halves every 500 steps from step 2,000 on."""
    return PEAK * 0.5 ** max(0, (step - 2000) // 500)


def diagnose_rate(
    tmp_path: Path, rate: Callable[[int], float], digits: str = ".5f", end: float = 0.0
) -> LogDiagnosis:
    """The diagnosis of a run that learns only by its rate; `end`: what it falls by in the second
    half besides."""
    draw, lines, done = random.Random(4), [], 0.0
    for step in STEPS:
        done += 100 * min(rate(step), PEAK) / PEAK
        loss = 3.5 + 5 * math.exp(-done / 1000) - end * max(0.0, step / LENGTH - 0.5)
        lines.append(
            f"step {step}/{LENGTH} loss {loss + draw.gauss(0, 0.03):.4f} lr {rate(step):{digits}}"
        )
        if step % 1000 == 0:
            lines.append(f"step {step} val_loss {loss + 0.05:.4f}")
    return diagnose_log(written(tmp_path, lines))


@pytest.mark.parametrize(
    ("digits", "since"), [(".5f", "6,000"), (".6f", "5,500"), (".3e", "5,500")]
)
def test_rate_that_is_practically_zero_for_half_of_the_run_is_named(
    digits: str, since: str, tmp_path: Path
) -> None:
    diagnosis = diagnose_rate(tmp_path, halved, digits)
    assert (diagnosis.verdict, diagnosis.normal.answer) == ("bad_schedule", "no")
    assert f"practically zero from {since} steps on" in diagnosis.normal.reason
    assert "bad_schedule" not in {cause.cause for cause in diagnosis.not_checked}


SOUND: dict[str, tuple[Callable[[int], float], str]] = {
    "cosine": (lambda s: PEAK * (1 + math.cos(math.pi * s / LENGTH)) / 2, ".6f"),
    "linear": (lambda s: PEAK * (1 - s / LENGTH), ".3e"),
    "inverse_root": (lambda s: PEAK * min(s / 1000, math.sqrt(1000 / s)), ".3e"),
    "thirds_of_imagenet": (lambda s: PEAK * 0.1 ** sum(s > LENGTH * at / 90 for at in (30, 60, 80)),
                           ".3e"),
    "constant": (lambda s: PEAK, ".3e"),
    "too_few_digits": (lambda s: 1e-4 if s < 3000 else 4e-5, ".4f"),
    "tenth": (lambda s: max(PEAK / 10, halved(s)), ".5f"),
}  # fmt: skip


@pytest.mark.parametrize("name", SOUND)
def test_usual_schedule_is_no_bad_one(name: str, tmp_path: Path) -> None:
    diagnosis = diagnose_rate(tmp_path, *SOUND[name])
    assert diagnosis.verdict != "bad_schedule"
    assert not any("of its peak" in note for note in diagnosis.warnings)


def test_loss_that_still_falls_is_trained_by_another_rate(tmp_path: Path) -> None:
    assert diagnose_rate(tmp_path, halved, end=1.5).verdict != "bad_schedule"


def speech_lines(rate: Callable[[int], float]) -> list[str]:
    """A recognizer whose loss is a sum over the sequence, and learns only by its rate."""
    draw, lines, done = random.Random(6), [], 0.0
    for step in range(0, 5400, 18):
        loss = 15 + 195 * math.exp(-done / 90) + draw.gauss(0, 1.2)
        done += 18 * rate(step) / 5e-4
        lines.append(
            f"[INFO 2021/06/19 12:31:58 model.py:61] Train: Rank: 0, epoch: {step // 1876}, step: "
            f"{step}, batch : {step % 1876}/1876, lr: {rate(step):.8f}, data time: 0.000s, train "
            f"time: 3.008s, batch size: 64, train_loss: {loss:.6f}"
        )
    return lines


def test_rate_that_decays_by_step_instead_of_epoch_is_named_though_it_still_brings_a_little(
    tmp_path: Path,
) -> None:
    diagnosis = diagnose_log(written(tmp_path, speech_lines(lambda s: 5e-4 * math.exp(-s / 135))))
    assert (diagnosis.verdict, diagnosis.normal.answer) == ("bad_schedule", "no")


@pytest.mark.parametrize("rate", [lambda s: 5e-4, lambda s: 5e-4 * math.exp(-s / 135)])
def test_loss_above_any_guess_is_compared_with_no_token_frequencies(
    rate: Callable[[int], float], tmp_path: Path
) -> None:
    diagnosis = diagnose_log(written(tmp_path, speech_lines(rate)))
    assert "token" not in diagnosis.normal.reason.replace("10,000,000 tokens", "")


def test_rates_that_are_all_zero_recommend_none(tmp_path: Path) -> None:
    draw = random.Random(1)
    lines = [f"step {s} loss {5.1 + draw.gauss(0, 0.02):.4f} lr 0.0000" for s in STEPS]
    diagnosis = diagnose_log(written(tmp_path, lines))
    assert diagnosis.normal.answer == "no"
    assert any("every logged learning rate is 0" in note for note in diagnosis.warnings)
    assert all(cause.recommended_config.get("learning_rate") != 0 for cause in diagnosis.causes)
    assert diagnosis.features is not None
    assert diagnosis.features.rate_highest is None


@pytest.mark.parametrize("unit", ["val_loss", "val_perplexity"])
@pytest.mark.parametrize(("digits", "is_frozen"), [(4, True), (1, False)])
def test_validation_that_is_one_number_is_of_weights_that_do_not_change(
    unit: str, digits: int, is_frozen: bool, tmp_path: Path
) -> None:
    draw, lines = random.Random(2), []
    for step in STEPS:
        loss = 3.0 + 5 * math.exp(-min(step, 8000) / 2000)
        lines.append(f"step {step} loss {loss + draw.gauss(0, 0.03):.4f}")
        if step % 1000 == 0:
            value = math.exp(loss) if unit == "val_perplexity" else loss
            lines.append(f"step {step} {unit} {value:.{digits}f}")
    diagnosis = diagnose_log(written(tmp_path, lines))
    assert ("from step 8,000 on, are one number" in diagnosis.normal.reason) == is_frozen
    assert not is_frozen or diagnosis.normal.answer == "no"
    text = format_log_diagnosis(diagnosis)
    assert ("Fix: look whether the learning rate has become 0" in text) == is_frozen


def test_promise_of_more_training_is_no_more_than_validation_gains(tmp_path: Path) -> None:
    lines = []
    for step in STEPS:
        loss = 8 - 0.6 * math.log2(step / 100)
        lines.append(f"step {step} loss {loss:.4f}")
        if step % 1000 == 0:
            lines.append(f"step {step} val_loss {6 - 0.25 * math.log2(step / 100):.4f}")
    diagnosis = diagnose_log(written(tmp_path, lines))
    [cause] = diagnosis.causes
    assert cause.cause == "undertrained"
    assert "up to 0.25 nats lower" in cause.advice
