"""Speeds and durations beside a step: a number with a unit per second is never a step."""

from __future__ import annotations

from pathlib import Path

import pytest

from descend.loss_logs.read_log import read_log

from .written_logs import train_points, written

LAYOUTS = {
    "marian": "[2019-08-18 02:22:23] Ep. 2 : Up. {step} : Sen. 96,074,168 : Cost {loss} : Time "
    "337.50s : {speed} words/s : L.r. 4.7397e-05",
    "marian_with_commas": "Ep. 2 : Up. {step} : Cost {loss} : Time 7.5s : 2,{speed} words/s",
    "opennmt": "Step {step}/100000; acc: 3.20; xent: {loss}; lr: 1.0; {speed}/{speed} tok/s; 40 "
    "sec;",
    "fairseq": "epoch 001:  {step} / 1102 loss={loss}, wps={speed}, ups=3.1, num_updates={step}",
    "iterations": "iter {step}: loss {loss}, {speed} it/s, 340 samples/s, 28.3 batches/sec",
    "steps": "step {step} | loss {loss} | {speed} steps/s | 9 updates/second",
    "name_in_front": "step {step} tok/s {speed} loss {loss}",
    "glued_unit": "step {step} loss {loss} took {speed}ms",
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_read_log_takes_the_counter_as_step_beside_a_speed(layout: str, tmp_path: Path) -> None:
    points = [(100 * n, 5 - 0.3 * n) for n in range(1, 10)]
    lines = [
        layout.format(step=step, loss=f"{loss:.2f}", speed=587 + (37 * step) % 411)
        for step, loss in points
    ]
    log = read_log(written(tmp_path, lines))
    assert [step for step, _ in train_points(log)] == [step for step, _ in points]
    assert [loss for _, loss in train_points(log)] == pytest.approx([loss for _, loss in points])
