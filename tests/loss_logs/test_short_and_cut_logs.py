"""Logs that are short, begin in the middle of a run, or hold rows that are no points."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from descend.loss_logs.diagnose_log import diagnose_log
from descend.loss_logs.read_log import read_log

from .written_logs import diagnose_text, written


def steps_log(points: list[tuple[int, float]]) -> str:
    """The lines of a plain program."""
    return "\n".join(f"step {step}: loss {loss}" for step, loss in points)


def notebook(outputs: list[dict[str, object]]) -> str:
    """A notebook with one cell."""
    return json.dumps({"nbformat": 4, "cells": [{"cell_type": "code", "outputs": outputs}]})


def html_table(rows: list[list[str]], attributes: str = "") -> dict[str, object]:
    """A table that a cell shows."""
    lines = "".join(f"<tr>{''.join(f'<td>{c}</td>' for c in row)}</tr>" for row in rows)
    return {"output_type": "display_data",
            "data": {"text/html": f"<table {attributes}>{lines}</table>"}}  # fmt: skip


@pytest.mark.parametrize(
    "losses",
    [[0.92, 0.61, 0.86], [2.4, 1.5, 1.2, 1.4, 1.1, 1.1, 1.2], [5.4, 4.3, 4.7, 4.6, 4.0]],
)
def test_noise_of_few_losses_is_no_fault(losses: list[float], tmp_path: Path) -> None:
    points = [(10 * n, loss) for n, loss in enumerate(losses, 1)]
    diagnosis = diagnose_text(tmp_path, steps_log(points))
    assert diagnosis.verdict == "unknown"
    assert diagnosis.normal.answer != "no"


def test_few_losses_that_clearly_go_back_have_diverged(tmp_path: Path) -> None:
    losses = [6.0, 5.5, 5.1, 4.8, 4.6, 4.8, 5.2, 5.7]
    diagnosis = diagnose_text(tmp_path, steps_log([(10 * n, x) for n, x in enumerate(losses, 1)]))
    assert diagnosis.verdict == "diverged"


@pytest.mark.parametrize(
    "points",
    [
        [(4200 + 10 * n, 4.3 + 0.1 * (-1) ** n) for n in range(9)],
        [(22 + n, 6.23 - 0.02 * n) for n in range(6)],
        [(39 + n, x) for n, x in enumerate((0.19, 0.16, 0.14, 0.13, 0.14, 0.17, 0.21))],
    ],
)
def test_log_from_the_middle_of_a_run_shows_no_fall(
    points: list[tuple[int, float]], tmp_path: Path
) -> None:
    diagnosis = diagnose_text(tmp_path, steps_log(points))
    assert (diagnosis.verdict, diagnosis.normal.answer) == ("unknown", "cannot tell")
    assert f"begins at step {points[0][0]:,}" in diagnosis.normal.reason


def test_first_loss_after_one_interval_is_no_middle(tmp_path: Path) -> None:
    points = [(500 * n, 10.8 - 0.01 * n) for n in range(1, 20)]
    assert diagnose_text(tmp_path, steps_log(points)).normal.answer == "no"


def test_unchanging_loss_is_a_bug(tmp_path: Path) -> None:
    diagnosis = diagnose_text(tmp_path, steps_log([(n, 10.8259) for n in range(76, 100)]))
    assert diagnosis.normal.answer == "no"
    assert "all 24 training losses are exactly 10.8259" in diagnosis.normal.reason


def test_one_lost_loss_is_enough_for_a_verdict(tmp_path: Path) -> None:
    text = "Iter 1: Val loss 2.4, Val took 17 s\nIter 10: Train loss nan, It/sec 0.9"
    assert diagnose_text(tmp_path, text).verdict == "diverged"


def test_loss_that_comes_back_is_not_lost_for_good(tmp_path: Path) -> None:
    points = [(1, 3.3), (2, float("nan")), (3, 3.2), (4, 3.1)]
    diagnosis = diagnose_text(tmp_path, steps_log(points))
    assert diagnosis.normal.answer == "no"
    assert diagnosis.normal.reason == "1 of 4 losses are no numbers"


def test_closing_row_of_nulls_is_no_loss(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"current_steps": 5 * n, "loss": 1.4 + 0.4 / n, "reward": None, "learning_rate": 5e-5}
        for n in range(1, 40)
    ]
    rows.append({"current_steps": 196, "loss": None, "reward": None, "learning_rate": None})
    diagnosis = diagnose_text(tmp_path, "\n".join(map(json.dumps, rows)), "trainer_log.jsonl")
    assert diagnosis.verdict != "diverged"
    assert "reward" not in diagnosis.normal.reason


def test_summary_of_the_trainer_is_no_point(tmp_path: Path) -> None:
    rows = [f"{{'eval_loss': {2.0 - n / 10}, 'epoch': {n}.0}}" for n in (1, 2, 3)]
    rows.append("{'train_runtime': 41.6, 'train_loss': 2.66, 'epoch': 3.0}")
    path = written(tmp_path, rows)
    log = read_log(path)
    assert [e.validation_loss for e in log.entries] == [1.9, 1.8, 1.7]
    assert all(e.train_loss is None for e in log.entries)


def test_counted_hits_are_no_steps(tmp_path: Path) -> None:
    path = tmp_path / "train_log.txt"
    lines = [
        f"epoch {n:3}\nloss: {6 / n:.4f}\n"
        f"test accuracy: {(9000 + 41 * n) / 990:.1f}%, ({9000 + 41 * n}/99000)"
        for n in range(1, 30)
    ]
    path.write_text("\n".join(lines))
    log = read_log(path)
    assert [e.position for e in log.entries] == list(range(1, 30))
    assert log.unit == "epochs"


def test_table_with_rewards_is_read_beside_samples(tmp_path: Path) -> None:
    names = ["Step", "Training Loss", "reward", "reward_std", "kl", "rewards / format"]
    rows = [[str(n), f"{0.001 * n:.4f}", "1.2", "0.3", "0.02", "0.5"] for n in range(1, 41)]
    samples = {"output_type": "stream", "text": [
        "Step 2: the total loss is 30, so 12 cans cost $36\n",
        "1. Calculate the cost of 4 tickets: 4 * 7 = 28\n",
    ]}  # fmt: skip
    path = written(tmp_path, notebook([samples, html_table([names, *rows]), samples]), "grpo.ipynb")
    assert [e.position for e in read_log(path).entries] == list(range(1, 41))
    assert "reward" in diagnose_log(path).normal.reason


def test_summary_of_weights_and_biases_is_no_point(tmp_path: Path) -> None:
    rows = [["Epoch", "Training Loss", "Validation Loss"]]
    rows += [[str(n), f"{1.4 - n / 100:.2f}", f"{1.5 - n / 100:.2f}"] for n in (1, 2, 3)]
    summary = html_table([["train/loss", "1.37"], ["train_loss", "1.38"]], 'class="wandb"')
    path = written(tmp_path, notebook([html_table(rows), summary]), "tuning.ipynb")
    assert [e.train_loss for e in read_log(path).entries] == [1.39, 1.38, 1.37]


def test_prices_are_no_losses(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    path.write_text(
        "\n".join(f"step {n} loss {5 - n / 10:.1f}\nsample: at a total cost: ${n}.50 each"
                  for n in range(1, 20))
    )  # fmt: skip
    assert [e.train_loss for e in read_log(path).entries] == [
        pytest.approx(5 - n / 10) for n in range(1, 20)
    ]


@pytest.mark.parametrize(("begin", "is_guess"), [(0, True), (2872, False)])
def test_first_loss_is_a_guess_at_the_start_only(
    begin: int, is_guess: bool, tmp_path: Path
) -> None:
    losses = [0.695, 0.71, 0.62, 0.68, 0.66, 0.59, 0.64, 0.6, 0.61, 0.58]
    points = [(begin + 50 * n, x) for n, x in enumerate(losses, 1)]
    reason = diagnose_text(tmp_path, steps_log(points)).normal.reason
    assert ("ln 2" in reason) == is_guess
