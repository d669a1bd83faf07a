"""What is left of a run is told by its steps, without the first few."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from descend.config import make_config
from descend.report.text.run_header import run_header_lines
from descend.report.text.throughput import SETTLING, pace_of_steps
from descend.training.trainer import run_training
from descend.training.training_run import create_run, resume_run


def test_step_time_estimate_ignores_compiling_first_step() -> None:
    def clock() -> Iterator[float]:
        yield from (60.0 + n for n in range(100))  # the first step ended after a minute

    times = clock()
    another = pace_of_steps(lambda: next(times))
    paces = [another() for _ in range(SETTLING + 5)]
    assert paces[:SETTLING] == [None] * SETTLING
    assert paces[SETTLING:] == [pytest.approx(1.0)] * 5


def test_resumed_run_shows_estimated_duration(tiny: dict[str, Any], tmp_path: Path) -> None:
    job = create_run(make_config(tiny | {"epoch": 3}), tmp_path / "run")
    records = run_training(job)
    for record in records:
        if record.step > job.plan.total_steps * 0.6:
            break
    records.close()  # type: ignore[attr-defined]
    resumed = resume_run(tmp_path / "run")
    assert resumed.estimated_step_seconds is not None
    assert resumed.estimated_step_seconds > 0
    (plan,) = [line for line in run_header_lines(resumed) if "steps of" in line]
    assert ", about " in plan


def test_partial_epoch_is_described_as_a_fraction(tiny: dict[str, Any], tmp_path: Path) -> None:
    def plan_of(name: str, **keys: Any) -> str:
        (line,) = [
            x
            for x in run_header_lines(create_run(make_config(tiny | keys), tmp_path / name))
            if "steps of" in x
        ]
        return line

    whole = plan_of("whole", epoch=2)
    assert whole.startswith("training: 2 epochs, ")
    steps = int(whole.split(", ")[1].split()[0])
    assert plan_of("part", epoch=2, max_steps=round(0.75 * steps)).startswith(
        "training: 1.5 epochs, "
    )
