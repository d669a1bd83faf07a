"""The chart of a run's loss: small, labelled, true."""

from __future__ import annotations

import math

import pytest

from descend.report.text.loss_curve import (
    HEIGHT,
    LossCurve,
    LossCurveRecorder,
    format_loss_curve,
)
from descend.runs.events import Epoch, Rollback, Step


def curve(steps: int = 500) -> LossCurve:
    training = [(n, 2 + 5 * math.exp(-n / 100)) for n in range(1, steps + 1)]
    return LossCurve(training, [(steps // 2, 2.6), (steps, 2.2)])


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_chart_fits_the_terminal(columns: int) -> None:
    lines = format_loss_curve(curve(), columns)
    assert len(lines) == HEIGHT + 2
    assert max(map(len, lines)) < max(columns, 50)


def test_chart_labels_its_axes() -> None:
    lines = format_loss_curve(curve())
    assert lines[0] == "loss in nats per token (· training  ● validation)"
    assert lines[1].strip().startswith("6.76")
    assert lines[HEIGHT].strip().startswith("2.03")
    assert lines[-1].endswith("step 500")
    assert sum(line.count("●") for line in lines[1:]) == 2
    assert "\x1b" not in "".join(lines)


def test_falling_loss_falls_in_the_chart() -> None:
    rows = format_loss_curve(LossCurve(curve().training, []))[1:-1]
    first, last = rows[0].index("┤") + 1, len(rows[-1]) - 1
    assert rows[0][first] in "˙·."
    assert rows[-1][last] in "˙·."


def test_few_steps_make_no_chart() -> None:
    assert format_loss_curve(LossCurve([(1, 5.0), (2, 4.0)], [])) == []


def test_constant_loss_makes_a_chart() -> None:
    assert len(format_loss_curve(LossCurve([(n, 3.0) for n in range(1, 20)], []))) == HEIGHT + 2


def test_rollback_removes_the_steps_it_undoes() -> None:
    recorder = LossCurveRecorder()
    for step in range(1, 21):
        recorder.add(Step(step, 1, 3.0, 0.2, 1e-3, 1.0, clipped=False, seconds=0.1))
    recorder.add(Epoch(1, 20, 3.0, 3.0, 0.2, 0.2, 3.0, 0.2, 2.0, 1000.0, 1.0))
    recorder.add(Rollback(10, 15, "a loss spike", "skip", 2))
    assert [step for step, _ in recorder.curve().training] == list(range(1, 11))
    assert not recorder.curve().validation
