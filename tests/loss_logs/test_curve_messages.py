"""What is said of a curve agrees with the curve, and with itself."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from descend.loss_logs.diagnose_log import LogDiagnosis, diagnose_log
from descend.report.text.log_diagnosis import format_log_diagnosis

LEAK = "validation text occurs in the training text"


def diagnose_nanogpt(
    tmp_path: Path, losses: list[float], offset: float, every: int = 20, **known: int
) -> LogDiagnosis:
    """Return the diagnosis of a nanoGPT log: a loss each ten steps, validation `offset` above."""
    lines = []
    for n, loss in enumerate(losses):
        if n % every == 0:
            lines.append(f"step {10 * n}: train loss {loss:.4f}, val loss {loss + offset:.4f}")
        lines.append(f"iter {10 * n}: loss {loss:.4f}, time 24.2ms, mfu 14.1%")
    path = tmp_path / "train.log"
    path.write_text("\n".join(lines))
    return diagnose_log(path, **known)


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
    assert diagnosis.features is not None and diagnosis.features.gap is not None
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
    assert diagnosis.features is not None and (diagnosis.features.gap or 0) < -1
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
