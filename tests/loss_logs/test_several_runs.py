"""Short runs one after the other in one log are no one curve."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from descend.loss_logs.diagnose_log import diagnose_log
from descend.loss_logs.read_log import read_log
from descend.loss_logs.several_runs import are_separate_runs

from .written_logs import Layout, steps_alone, train_losses, written

RUNS = [
    [1.92, 1.71, 1.66, 1.62], [1.80, 1.63, 1.58, 1.55], [2.05, 1.82, 1.75, 1.70],
    [1.95, 1.90, 1.91, 1.97], [1.88, 1.70, 1.61, 1.59], [1.86, 1.66, 1.60, 1.57],
]  # fmt: skip
"""Short trainings with other settings each. The fourth does not learn."""


def lines_of_runs(layout: Layout) -> list[list[str]]:
    """The lines of each run, as cells print them."""
    return [[layout(0, n, loss) for n, loss in enumerate(run)] for run in RUNS]


def notebook(tmp_path: Path, cells: Sequence[Sequence[str]]) -> Path:
    """The path of a notebook whose cells have printed these lines."""
    outputs = [
        {"cell_type": "code", "source": [], "outputs": [{"text": "\n".join(lines) + "\n"}]}
        for lines in cells
    ]
    book = {"cells": outputs, "nbformat": 4, "nbformat_minor": 5, "metadata": {}}
    return written(tmp_path, [json.dumps(book)], "runs.ipynb")


def one_an_epoch(epoch: int, line: int, loss: float) -> str:
    """A line an epoch."""
    return f"epoch {line + 1}/4 loss {loss:.4f}"


def epoch_and_step(epoch: int, line: int, loss: float) -> str:
    """Two lines an epoch."""
    return f"Epoch {line // 2 + 1} step {100 * (line % 2 + 1)}/200 loss {loss:.4f}"


@pytest.mark.parametrize("layout", [steps_alone, one_an_epoch])
@pytest.mark.parametrize("is_notebook", [True, False])
def test_short_runs_one_after_the_other_are_no_one_curve(
    layout: Layout, is_notebook: bool, tmp_path: Path
) -> None:
    cells = lines_of_runs(layout)
    flat = [line for cell in cells for line in cell]
    path = notebook(tmp_path, cells) if is_notebook else written(tmp_path, flat)
    log = read_log(path)
    assert train_losses(log) == pytest.approx(RUNS[-1])
    assert log.entries[0].position == (50 if layout is steps_alone else 1)
    diagnosis = diagnose_log(path)
    assert diagnosis.verdict != "learning_rate_too_high"
    [note] = [note for note in diagnosis.warnings if "runs" in note]
    for number, run in enumerate(RUNS[:-1], 1):
        assert f"{number}: {run[0]:.2f} → {run[-1]:.2f}" in note


def test_epochs_and_steps_that_both_begin_anew_are_another_run(tmp_path: Path) -> None:
    run = RUNS[0]
    lines = [epoch_and_step(0, n, x) for _ in range(2) for n, x in enumerate(run)]
    log = read_log(written(tmp_path, lines))
    assert [e.position for e in log.entries] == [100, 200, 300, 400]


def test_a_last_run_that_has_just_begun_leaves_the_judgment_to_the_one_before(
    tmp_path: Path,
) -> None:
    lines = [line for cell in lines_of_runs(steps_alone) for line in cell]
    log = read_log(written(tmp_path, [*lines, steps_alone(0, 0, 1.9)]))
    assert train_losses(log) == pytest.approx(RUNS[-1])


@pytest.mark.parametrize("stated_above", [None, 0, 2, 5])
@pytest.mark.parametrize("fall", [1.0, 5.0])
def test_a_rate_above_an_earlier_run_is_not_that_of_the_last(
    stated_above: int | None, fall: float, tmp_path: Path
) -> None:
    lines = []
    for number, run in enumerate(RUNS):
        lines += ["Training with learning rate 0.03"] * (number == stated_above)
        lines += [steps_alone(0, n, fall * loss) for n, loss in enumerate(run)]
    log = read_log(written(tmp_path, lines))
    assert train_losses(log) == pytest.approx([fall * loss for loss in RUNS[-1]])
    is_of_last = stated_above in (0, 5)
    assert {e.learning_rate for e in log.entries} == {0.03 if is_of_last else None}


def test_a_long_run_is_diagnosed_though_another_just_began(tmp_path: Path) -> None:
    losses = [4 - n / 10 for n in range(20)]
    lines = [steps_alone(0, n, loss) for n, loss in enumerate(losses)]
    path = written(tmp_path, [*lines, *lines[:2]])
    assert train_losses(read_log(path)) == pytest.approx(losses)
    assert any("another run begins at the end" in note for note in diagnose_log(path).warnings)
    failed = written(tmp_path, [*lines, lines[0], steps_alone(0, 1, math.nan)])
    assert diagnose_log(failed).verdict == "diverged"


def test_validation_stays_with_its_run(tmp_path: Path) -> None:
    lines = []
    for run in RUNS:
        for n, loss in enumerate(run):
            lines.append(steps_alone(0, n, loss))
            lines.append(f"step {50 * (n + 1)} val_loss {loss + 0.1:.4f}")
    log = read_log(written(tmp_path, lines))
    assert [e.position for e in log.entries] == [50, 100, 150, 200]
    expected = pytest.approx([loss + 0.1 for loss in RUNS[-1]])
    assert [e.validation_loss for e in log.entries] == expected


def test_epochs_of_one_run_are_no_runs() -> None:
    draw = random.Random(7)

    def epoch(number: int, noise: float) -> list[float]:
        # The same text each time, its beginning harder than the rest.
        return [
            1.5 + 3 / (1 + 0.4 * (8 * number + n)) + 0.3 * math.exp(-n) + draw.gauss(0, noise)
            for n in range(8)
        ]

    for noise in (0.0, 0.05, 0.3):
        assert not are_separate_runs([epoch(number, noise) for number in range(12)])
    level = [[2 + draw.gauss(0, 0.1) for _ in range(8)] for _ in range(12)]
    assert not are_separate_runs(level)
    assert are_separate_runs(RUNS)
