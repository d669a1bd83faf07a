"""A loss that explodes: its steps, since when it is high, and the limit at which it stays."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from descend.loss_logs.diagnose_log import diagnose_log
from descend.loss_logs.read_log import read_log

from .written_logs import train_losses, written


def caffe_line(step: int, loss: float) -> list[str]:
    """What a solver prints of a step: its loss, the outputs, the rate."""
    return [
        f"I0627 17:29:49.576317 13757 solver.cpp:228] Iteration {step}, loss = {loss:g}",
        f"I0627 17:29:49.576317 13757 solver.cpp:244]     Train net output #0: loss = {loss:g} "
        f"(* 1 = {loss:g} loss)",
        f"I0627 17:29:49.576317 13757 sgd_solver.cpp:106] Iteration {step}, lr = 0.1",
    ]


def caffe_log(losses: list[float]) -> list[str]:
    """The lines of a run that logs each 20 steps."""
    begin = "I0627 17:29:49.576317 13757 solver.cpp:337] Iteration 0, Testing net (#0)"
    return [begin, *(line for n, loss in enumerate(losses) for line in caffe_line(20 * n, loss))]


def test_a_row_with_a_step_replaces_the_row_above(tmp_path: Path) -> None:
    rng = random.Random(1)
    losses = [round(6.9 - n / 100 + rng.gauss(0, 0.02), 4) for n in range(150)]
    log = read_log(written(tmp_path, caffe_log(losses)))
    assert [entry.position for entry in log.entries] == [20 * n for n in range(150)]
    assert train_losses(log) == losses
    assert not log.notes


@pytest.mark.parametrize(
    ("limit", "name"),
    [(87.3365, "smallest normal float"), (16.1181, "1e-7"), (27.631, "1e-12"), (50.0, "")],
)
def test_limit_and_places_of_an_explosion(limit: float, name: str, tmp_path: Path) -> None:
    losses = [6.9, 6.92, 6.88, 6.91, 6.87, 6.9, 12.5, 14.0, *[limit] * 100]
    diagnosis = diagnose_log(written(tmp_path, caffe_log(losses)))
    assert diagnosis.verdict == "diverged"
    reason = diagnosis.normal.reason
    assert "from step 120 on" in reason
    assert f"since step 160 it is exactly {limit:g}" in reason
    assert name in reason
    assert ("logarithm" in reason) == bool(name)
