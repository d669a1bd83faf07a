"""What is said of a curve agrees with the curve, and with itself."""

from __future__ import annotations

import inspect
import math
import random
import re
from pathlib import Path

import numpy as np
import pytest

from descend.loss_logs import (
    curve_rules,
    earlier_runs,
    normality,
    rate_rules,
    reward_rules,
    stopped_early,
    validation_rules,
)
from descend.loss_logs.curve_features import gain_of_doubling
from descend.loss_logs.diagnose_log import CURVE_CAUSES, REQUIRED_DATA, LogDiagnosis, diagnose_log
from descend.loss_logs.run_check import ADVICE
from descend.report.text.log_diagnosis import format_log_diagnosis

from .written_logs import written

LEAK = "validation text occurs in the training text"


def diagnose_nanogpt(
    tmp_path: Path,
    losses: list[float],
    offset: float,
    every: int = 20,
    vocab_size: int | None = None,
) -> LogDiagnosis:
    """Return the diagnosis of a nanoGPT log: a loss each ten steps, validation `offset` above."""
    lines = []
    for n, loss in enumerate(losses):
        if n % every == 0:
            lines.append(f"step {10 * n}: train loss {loss:.4f}, val loss {loss + offset:.4f}")
        lines.append(f"iter {10 * n}: loss {loss:.4f}, time 24.2ms, mfu 14.1%")
    path = written(tmp_path, lines, "train.log")
    return diagnose_log(path, vocab_size=vocab_size)


def fall_and_rise(steps: int, lowest_at: int, slope: float = 0.15) -> list[float]:
    """Return losses that fall from 4.3 up to `lowest_at` and then rise in a line."""
    fall = [2.3 + 2 * math.exp(-4 * n / lowest_at) for n in range(lowest_at)]
    return fall + [fall[-1] + slope * n for n in range(steps - lowest_at)]


def test_diagnose_log_compares_validation_at_its_own_place_when_training_diverged_later(
    tmp_path: Path,
) -> None:
    losses = [*fall_and_rise(70, 50), *[math.nan] * 15]
    diagnosis = diagnose_nanogpt(tmp_path, losses, 0.05, every=25)
    assert diagnosis.verdict == "diverged"
    assert diagnosis.features is not None
    assert diagnosis.features.gap is not None
    assert diagnosis.features.gap == pytest.approx(0.05, abs=0.15)
    assert not any(LEAK in note for note in diagnosis.warnings)


def test_diagnose_log_warns_of_a_leak_when_validation_lies_below_training(tmp_path: Path) -> None:
    losses = [2 + 2.3 * (1 + n / 5) ** -0.6 for n in range(101)]
    assert any(LEAK in note for note in diagnose_nanogpt(tmp_path, losses, -0.6).warnings)
    assert not any(LEAK in note for note in diagnose_nanogpt(tmp_path, losses, 0.05).warnings)


def test_diagnose_log_gives_no_leak_warning_when_training_spiked_at_the_place(
    tmp_path: Path,
) -> None:
    losses = [2 + 2.3 * (1 + n / 5) ** -0.6 for n in range(101)]
    path = tmp_path / "train.log"
    lines = [f"step {10 * n}: loss {loss:.4f}" for n, loss in enumerate(losses[:90])]
    lines += [f"step {10 * n}: loss {losses[n] + 3:.4f}" for n in range(90, 101)]
    lines.append(f"step 1000: val loss {losses[-1]:.4f}")
    path.write_text("\n".join(lines))
    diagnosis = diagnose_log(path)
    assert diagnosis.features is not None
    assert (diagnosis.features.gap or 0) < -1
    assert not any(LEAK in note for note in diagnosis.warnings)


@pytest.mark.parametrize("first", [4.3, 6.0, 2.0])
def test_diagnose_log_calls_no_number_but_ln_v_random_guessing_when_the_vocabulary_is_known(
    first: float, tmp_path: Path
) -> None:
    losses = [first * (1 + n / 5) ** -0.3 for n in range(101)]
    text = format_log_diagnosis(diagnose_nanogpt(tmp_path, losses, 0.05, vocab_size=67))
    said = [line for line in text.splitlines() if "random guessing" in line]
    assert len(said) == 1
    assert "ln 67 = 4.20" in said[0]
    assert "untrained network" in text


@pytest.mark.parametrize("noise", [0.0, 0.004])
@pytest.mark.parametrize("exponent", [0.3, 0.6, 1.0])
def test_gain_of_doubling_is_what_remains_when_the_curve_is_a_power_law(
    exponent: float, noise: float
) -> None:
    places = np.arange(1.0, 401.0)
    losses = 1.5 + 6 * places**-exponent + np.random.default_rng(0).normal(0, noise, 400)
    true_gain = 6 * (400**-exponent - 800**-exponent)
    assert gain_of_doubling(places, losses) == pytest.approx(true_gain, rel=0.1, abs=3 * noise)


def test_gain_of_doubling_is_small_when_the_fall_is_exponential() -> None:
    places = np.arange(20.0)
    losses = 1.42 + 3.2 * np.exp(-places / 3.2)
    slope_of_second_half = losses[9] - losses[19]
    gain = gain_of_doubling(places, losses)
    assert 0 < losses[-1] - 1.42 <= gain < 0.25 * slope_of_second_half


def test_diagnose_log_names_no_cause_when_the_curve_has_leveled_off(tmp_path: Path) -> None:
    draw = random.Random(1)
    path = tmp_path / "history.csv"
    rows = ["epoch,loss,val_loss"]
    for n in range(20):
        loss = 1.42 + 3.2 * math.exp(-n / 3.2)
        rows.append(f"{n},{loss + draw.gauss(0, 0.005):.4f},{loss + 0.1 + draw.gauss(0, 0.005)}")
    path.write_text("\n".join(rows))
    diagnosis = diagnose_log(path)
    assert (diagnosis.normal.answer, diagnosis.causes) == ("yes", [])
    text = format_log_diagnosis(diagnosis)
    assert "20 entries over 20 epochs, numbered from 0" in text


def test_format_log_diagnosis_names_no_likely_cause_when_the_curve_is_normal(
    tmp_path: Path,
) -> None:
    losses = [1.7 + 3 * (1 + n / 3) ** -0.4 for n in range(101)]
    diagnosis = diagnose_nanogpt(tmp_path, losses, 0.05)
    text = format_log_diagnosis(diagnosis)
    assert (diagnosis.normal.answer, diagnosis.verdict) == ("yes", "undertrained")
    assert "Likely cause" not in text
    assert "Fix:" not in text
    assert "To get lower: train about twice as long" in text


@pytest.mark.parametrize("explain", [False, True])
def test_format_log_diagnosis_separates_what_no_curve_shows_when_causes_are_open(
    explain: bool, tmp_path: Path
) -> None:
    losses = [1.7 + 3 * (1 + n / 3) ** -0.4 for n in range(101)]
    diagnosis = diagnose_nanogpt(tmp_path, losses, 0.05)
    text = format_log_diagnosis(diagnosis, explain)
    is_open, hidden = text.split("Not excluded")[1].split("Not checked (a loss curve cannot")
    for cause in diagnosis.not_checked:
        where = is_open if cause.cause in CURVE_CAUSES else hidden
        other = hidden if cause.cause in CURVE_CAUSES else is_open
        assert cause.cause.replace("_", " ") in where
        assert f"{cause.cause.replace('_', ' ')}:" not in other
        assert (cause.required_data in where) == explain


def test_curve_causes_hold_every_cause_when_a_rule_or_the_docs_name_it() -> None:
    rules = Path(inspect.getfile(curve_rules)).read_text(encoding="utf-8")
    for module in (
        normality,
        validation_rules,
        rate_rules,
        reward_rules,
        earlier_runs,
        stopped_early,
    ):
        rules += Path(inspect.getfile(module)).read_text(encoding="utf-8")
    named = {c for c in REQUIRED_DATA if f'"{c}"' in rules}
    assert named >= set(ADVICE)
    assert named <= CURVE_CAUSES <= set(REQUIRED_DATA)
    docs = Path(__file__).parents[2] / "docs" / "diagnose_log.md"
    table = docs.read_text(encoding="utf-8").split("## Verdicts")[1].split("## Formats")[0]
    assert {c for c in REQUIRED_DATA if f"| `{c}` |" in table} == named


def test_diagnose_log_names_the_step_of_the_rise_when_the_loss_rises_at_last(
    tmp_path: Path,
) -> None:
    diagnosis = diagnose_nanogpt(tmp_path, fall_and_rise(200, 75), 0.05, every=25)
    assert diagnosis.verdict == "diverged"
    step = re.search(r"up to step (\d+), after which the loss rose", diagnosis.causes[0].advice)
    assert step is not None
    assert int(step[1]) == pytest.approx(750, abs=60)


def test_diagnose_log_names_the_step_of_the_first_nan_when_the_loss_fell_until_then(
    tmp_path: Path,
) -> None:
    losses = [2 + 2 * math.exp(-n / 15) for n in range(60)]
    diagnosis = diagnose_nanogpt(tmp_path, [*losses, *[math.nan] * 20], 0.05, every=25)
    assert "before step 600, where it stops being a number" in diagnosis.causes[0].advice


def test_diagnose_log_advises_to_start_again_when_the_loss_only_rises(tmp_path: Path) -> None:
    diagnosis = diagnose_nanogpt(tmp_path, [4 + n / 5 for n in range(60)], 0.05, every=25)
    assert diagnosis.verdict == "diverged"
    assert "train from the start" in diagnosis.causes[0].advice


def test_diagnose_log_goes_back_to_the_first_nan_when_the_loss_only_drifted(
    tmp_path: Path,
) -> None:
    losses = [0.1 + 0.00002 * n for n in range(600)]
    diagnosis = diagnose_nanogpt(tmp_path, [*losses, *[math.nan] * 200], 0.02, every=1)
    advice = diagnosis.causes[0].advice
    assert "before step 6,000, where it stops being a number" in advice
    assert "float16" in advice


def test_diagnose_log_goes_back_to_the_rise_when_the_loss_rose_before_the_nan(
    tmp_path: Path,
) -> None:
    losses = [2 + 2 * math.exp(-n / 15) for n in range(60)] + [2.0 + n / 10 for n in range(20)]
    diagnosis = diagnose_nanogpt(tmp_path, [*losses, *[math.nan] * 20], 0.02, every=25)
    step = re.search(r"up to step ([\d,]+), after which the loss rose", diagnosis.causes[0].advice)
    assert step is not None
    assert int(step[1].replace(",", "")) == pytest.approx(590, abs=30)


def test_diagnose_log_advises_to_start_again_when_the_second_loss_is_nan(tmp_path: Path) -> None:
    diagnosis = diagnose_nanogpt(tmp_path, [4.2, *[math.nan] * 40], 0.02, every=25)
    assert diagnosis.verdict == "diverged"
    assert "train from the start" in diagnosis.causes[0].advice
