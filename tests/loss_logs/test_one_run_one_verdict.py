"""One run, logged at every step or at few, has one verdict and one next step."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from descend.loss_logs.diagnose_log import LogDiagnosis
from descend.report.text.log_diagnosis import format_log_diagnosis

from .written_logs import diagnose_text

STEPS = 300
RUNS: dict[str, tuple[Callable[[int], float], str]] = {
    "still_falls": (lambda n: 2.0 + 2.5 * n**-0.35, "undertrained"),
    "levels_off": (lambda n: 2.0 + 2.5 * math.exp(-n / 25), "healthy"),
}


def both_logs(
    tmp_path: Path, loss: Callable[[int], float], every: int, seed: int
) -> list[LogDiagnosis]:
    """The diagnoses of a table of all steps, and of a console that prints some of them."""
    draw = random.Random(seed)
    table, console = ["step,loss,val_loss,lr"], []
    for n in range(1, STEPS + 1):
        trained, validated = loss(n) * draw.gauss(1, 0.02), loss(n) * draw.gauss(1, 0.004)
        is_last = n % every == 0
        table.append(f"{n},{trained:.4f},{format(validated, '.4f') if is_last else ''},0.001")
        if is_last:
            console.append(f"step {n} loss {trained:.3f} val loss {validated:.3f}")
    return [
        diagnose_text(tmp_path, "\n".join(table), "run.csv"),
        diagnose_text(tmp_path, "\n".join(console), "run.log"),
    ]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("every", [10, 25, 50])
@pytest.mark.parametrize("name", RUNS)
def test_run_has_the_verdict_of_its_table_where_few_losses_are_printed(
    name: str, every: int, seed: int, tmp_path: Path
) -> None:
    loss, verdict = RUNS[name]
    of_table, of_console = both_logs(tmp_path, loss, every, seed)
    assert of_table.verdict == verdict
    assert of_console.verdict in (verdict, "unknown")
    assert "levels off" not in of_console.normal.reason or verdict == "healthy"


def test_noisy_training_losses_leave_the_verdict_to_the_validation_losses(tmp_path: Path) -> None:
    losses = ((50, 2.735, 2.679), (100, 2.554, 2.541), (150, 2.460, 2.475), (200, 2.442, 2.464),
              (250, 2.434, 2.402), (300, 2.311, 2.331))  # fmt: skip
    lines = [f"step {n} loss {trained} val loss {validated}" for n, trained, validated in losses]
    diagnosis = diagnose_text(tmp_path, "\n".join(lines))
    assert (diagnosis.verdict, diagnosis.normal.answer) == ("undertrained", "yes")
    assert "up to 0.14 nats lower" in diagnosis.causes[0].advice


def test_validation_loss_near_zero_leads_to_the_check_of_the_program(tmp_path: Path) -> None:
    for diagnosis in both_logs(tmp_path, lambda n: 0.01 + 4.3 * math.exp(-n / 12), 50, 1):
        text = format_log_diagnosis(diagnosis)
        assert "Fix: run `descend check PROGRAM`" in text
        assert "No cause could be determined" not in text
        assert "data leakage" not in text
        assert "Not excluded" not in text
        assert "Extrapolation" not in text
