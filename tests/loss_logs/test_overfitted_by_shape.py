"""Losses of other kinds whose validation loss rises, plainly or by chance."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest

from descend.report.text.log_diagnosis import format_log_diagnosis

from .written_logs import diagnose_text

EPOCHS = 60


def keras_lines(validation: list[float], classes: int = 6) -> str:
    """A classifier of so many classes in Keras, whose training loss falls to the end."""
    lines = [f"Found 4984 images belonging to {classes} classes."]
    for n, loss in enumerate(validation, 1):
        trained = 0.2 + 2.1 * math.exp(-n / 25)
        lines.append(f"Epoch {n}/{len(validation)}")
        lines.append(
            "249/249 [==============================] - 19s 77ms/step - "
            f"loss: {trained:.4f} - acc: {min(0.9, 0.15 + n / 100):.4f} - val_loss: {loss:.4f} "
            "- val_acc: 0.2000"
        )
    return "\n".join(lines)


def speech_lines(validation: list[float]) -> str:
    """A recognizer whose connectionist loss falls on the training side."""
    return "\n".join(
        f"epoch {n} train ctc loss {20 + 180 * math.exp(-n / 12):.3f} val loss {loss:.3f} wer 0.4"
        for n, loss in enumerate(validation, 1)
    )


def rising(scale: float) -> list[float]:
    """A validation loss that turns upward after a sixth of the run."""
    draw = random.Random(2)
    turn = EPOCHS // 6
    return [
        scale * (1 + 0.02 * max(0, n - turn) + 0.05 * max(0, turn - n) + draw.gauss(0, 0.03))
        for n in range(EPOCHS)
    ]


def jumping(scale: float, seed: int) -> list[float]:
    """A validation loss that falls and then jumps about one level, as of a few samples."""
    draw = random.Random(seed)
    return [scale * (1 + math.exp(-n / 6)) * (1 + draw.gauss(0, 0.08)) for n in range(EPOCHS)]


@pytest.mark.parametrize("text", [keras_lines(rising(1.7)), speech_lines(rising(40.0))])
def test_validation_loss_that_plainly_rises_is_overfitting_of_any_loss(
    text: str, tmp_path: Path
) -> None:
    diagnosis = diagnose_text(tmp_path, text)
    assert (diagnosis.verdict, diagnosis.normal.answer) == ("too_little_data", "no")
    assert "No cause" not in format_log_diagnosis(diagnosis)


@pytest.mark.parametrize("seed", range(6))
def test_validation_loss_that_jumps_is_no_overfitting(seed: int, tmp_path: Path) -> None:
    for text in (keras_lines(jumping(0.8, seed)), speech_lines(jumping(40.0, seed))):
        diagnosis = diagnose_text(tmp_path, text)
        assert diagnosis.verdict == "unknown"
        assert "overfits" not in diagnosis.normal.reason


@pytest.mark.parametrize("classes", [6, 10])
def test_loss_alone_tells_no_number_of_classes(classes: int, tmp_path: Path) -> None:
    diagnosis = diagnose_text(tmp_path, keras_lines(rising(1.7), classes))
    assert "classification" in diagnosis.normal.reason
    assert not any(f"{n} classes" in diagnosis.normal.reason for n in range(2, 20))
