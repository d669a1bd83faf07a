"""Validation losses that are all no numbers are named, whatever the training loss does."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from descend.loss_logs.diagnose_log import diagnose_log

from .written_logs import written

LOSSES = [2.0 + 2.0 * math.exp(-n / 15) for n in range(60)]
Layout = Callable[[list[float], list[float]], list[str]]


def table(losses: list[float], validation: list[float]) -> list[str]:
    """A CSV with both losses in a line."""
    pairs = zip(losses, validation, strict=True)
    return ["epoch,train/loss,val/loss", *(f"{n},{a},{b}" for n, (a, b) in enumerate(pairs, 1))]


def detector(losses: list[float], validation: list[float]) -> list[str]:
    """A CSV of several losses and a recall, which is no language model's."""
    pairs = zip(losses, validation, strict=True)
    return [
        "epoch, train/box_loss, metrics/recall(B), val/box_loss",
        *(f"{n}, {a}, 0, {b}" for n, (a, b) in enumerate(pairs, 1)),
    ]


def objects(losses: list[float], validation: list[float]) -> list[str]:
    """JSON lines as Python writes them."""
    pairs = zip(losses, validation, strict=True)
    return [
        f'{{"step": {n}, "loss": {a}, "val_loss": {"NaN" if math.isnan(b) else b}}}'
        for n, (a, b) in enumerate(pairs, 1)
    ]


def console(losses: list[float], validation: list[float]) -> list[str]:
    """Lines of a console."""
    pairs = zip(losses, validation, strict=True)
    return [f"step {n}: train loss {a:.4f}, val loss {b:.4f}" for n, (a, b) in enumerate(pairs, 1)]


@pytest.mark.parametrize("layout", [table, detector, objects, console])
def test_the_evaluation_is_at_fault(layout: Layout, tmp_path: Path) -> None:
    lines = layout(LOSSES, [math.nan] * len(LOSSES))
    diagnosis = diagnose_log(written(tmp_path, lines, "results.csv"))
    assert diagnosis.normal.answer == "no"
    assert "all 60 validation losses are no numbers" in diagnosis.normal.reason
    assert "labels" in diagnosis.advice
    assert diagnosis.verdict == "unknown"
    assert not any("no validation loss" in warning for warning in diagnosis.warnings)


@pytest.mark.parametrize("layout", [table, objects, console])
def test_one_number_among_them_is_no_failed_evaluation(layout: Layout, tmp_path: Path) -> None:
    validation = [math.nan] * (len(LOSSES) - 1) + [2.1]
    diagnosis = diagnose_log(written(tmp_path, layout(LOSSES, validation), "results.csv"))
    assert "validation losses are no numbers" not in diagnosis.normal.reason


def test_a_fault_of_training_counts_first(tmp_path: Path) -> None:
    losses = [4 + n / 5 for n in range(60)]
    diagnosis = diagnose_log(written(tmp_path, console(losses, [math.nan] * 60)))
    assert diagnosis.verdict == "diverged"
    assert any("all 60 validation losses are no numbers" in w for w in diagnosis.warnings)
