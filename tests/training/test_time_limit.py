"""A run with `minutes` ends in time, with its schedule completed, whatever the machine does."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from descend.config import make_config
from descend.report.text.run_notices import run_notices
from descend.runs.events import Epoch, Step
from descend.runs.run_files import read_info, write_summary
from descend.runs.run_folder import read_summary
from descend.training.checkpoint import save_checkpoint
from descend.training.loop import train
from descend.training.step_times import StepTimes
from descend.training.time_limit import FINISH_SECONDS, TimeLimit
from descend.training.trainer import run_training
from descend.training.training_run import TrainingRun, create_run, resume_run

Tiny = dict[str, Any]


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def limit_of(seconds: float) -> tuple[TimeLimit, Clock]:
    clock = Clock()
    limit = TimeLimit(seconds + FINISH_SECONDS, StepTimes(0.0), epoch_steps=1000, clock=clock)
    limit.start()
    return limit, clock


def test_schedule_follows_steps_on_a_fast_machine() -> None:
    limit, clock = limit_of(100.0)
    clock.now = 10.0
    assert limit.schedule_step(50, 100) == 50


def test_schedule_follows_the_clock_on_a_slow_machine() -> None:
    limit, clock = limit_of(100.0)
    clock.now = 80.0
    assert limit.schedule_step(20, 100) == 80
    clock.now = 1000.0
    assert limit.schedule_step(20, 100) == 99


def test_stops_before_a_step_that_has_no_time() -> None:
    limit, clock = limit_of(100.0)
    limit.add_step(10.0, 1.0, 0.5)
    clock.now = 89.0
    assert not limit.must_stop(ends_epoch=False)
    clock.now = 91.0
    assert limit.must_stop(ends_epoch=False)


def test_stops_at_an_epoch_whose_evaluation_would_be_the_last() -> None:
    limit, clock = limit_of(100.0)
    limit.add_step(1.0, 1.0, 0.5)
    limit.times.add_evaluation(20.0)
    clock.now = 60.0
    assert limit.must_stop(ends_epoch=True)  # 26 s are held back, and 20 more have no room
    assert not limit.must_stop(ends_epoch=False)


def slow_records(tiny: Tiny, seconds: float, pause: float) -> tuple[list[Any], float]:
    """The records of a run whose steps take `pause` by its clock, and what all took by it."""
    config = make_config(tiny | {"minutes": seconds / 60, "epoch": 500, "compile": "off"})
    run, clock = create_run(config, Path("slow")), Clock()
    assert run.plan.time_limit is not None
    run.plan.time_limit.clock = clock
    records: list[Any] = []
    for some in train(run.state, run.plan):
        records += some
        clock.now += pause
    return records, clock.now


def test_run_on_a_slow_machine_ends_in_time_with_a_fallen_rate(tiny: Tiny) -> None:
    records, took = slow_records(tiny, seconds=6.0, pause=0.1)
    steps = [r for r in records if isinstance(r, Step)]
    epochs = [r for r in records if isinstance(r, Epoch)]
    assert took <= 6.0
    assert len(steps) > 10
    peak = max(s.learning_rate for s in steps)
    # A step that other programs delay ends the run before the rate is at its lowest.
    assert steps[-1].learning_rate < 0.2 * peak
    assert epochs[-1].step == steps[-1].step
    assert epochs[-1].loss_end > 0
    assert steps[-1].step < 500 * 5  # the clock ended it, not the epochs


def test_completed_run_tells_the_steps_it_made(tiny: Tiny) -> None:
    config = make_config(tiny | {"minutes": 0.04, "epoch": 500, "compile": "off"})
    run = create_run(config, Path("run"))
    for _ in run_training(run):
        pass
    resolved = read_info(Path("run")).resolved_config
    assert resolved["max_steps"] == run.state.step


def test_resumed_run_has_the_time_that_was_left(tiny: Tiny) -> None:
    config = make_config(tiny | {"minutes": 10, "epoch": 3})
    run = create_run(config, Path("run"))
    records = run_training(run)
    for record in records:
        if isinstance(record, Step) and record.step == 3:
            break
    run.state.elapsed_seconds = 599.0
    save_checkpoint(Path("run"), run.state)
    records.close()  # type: ignore[attr-defined]
    limit = resume_run(Path("run")).plan.time_limit
    assert limit is not None
    assert limit.elapsed() == pytest.approx(599.0)


def test_schedule_never_goes_back_after_an_interruption() -> None:
    limit, clock = limit_of(100.0)
    clock.now = 60.0
    assert limit.schedule_step(10, 100) == 60
    limit.add_step(1.0, 2.0, 0.5)
    state = limit.state()
    after = TimeLimit(
        state.seconds, StepTimes(0.0), epoch_steps=1000, seconds_before=50.0, clock=clock
    )
    after.restore(state)
    after.start()
    assert after.schedule_step(10, 100) == 60
    clock.now = 80.0  # 20 s after the start, so 70 s in all
    assert after.schedule_step(11, 100) == 70


def interrupted_at(tiny: Tiny, step: int, minutes: float) -> TrainingRun:
    """A run with `minutes` whose first session ended, saved, after `step`."""
    config = make_config(tiny | {"minutes": minutes, "epoch": 500, "compile": "off"})
    # The first step is later than the start of the minutes, as after planning.
    run = create_run(config, Path("run"), ends=time.perf_counter() + 60 * minutes - 2)
    records = run_training(run)
    for record in records:
        if isinstance(record, Step) and record.step >= step:
            break
    records.close()  # type: ignore[attr-defined]
    save_checkpoint(Path("run"), run.state)
    return run


def test_resumed_run_takes_again_what_the_clock_decided(tiny: Tiny) -> None:
    run = interrupted_at(tiny, 8, minutes=10)
    before = run.plan.time_limit
    again = resume_run(Path("run"))
    limit = again.plan.time_limit
    assert before is not None
    assert limit is not None
    assert limit.seconds == before.seconds  # not the whole 10 minutes
    assert limit.training_seconds == before.training_seconds
    assert limit.progress == before.progress
    assert limit.segment == before.segment
    assert limit.elapsed() >= again.state.elapsed_seconds
    assert sum("follows the clock" in warning for warning in run_notices(again)) == 1


def test_run_that_the_clock_ended_makes_no_step_more_when_resumed(tiny: Tiny) -> None:
    run = interrupted_at(tiny, 10**9, minutes=0.08)  # to its end, but as if not yet saved
    steps, best = run.state.step, run.state.best
    write_summary(Path("run"), msgspec.structs.replace(read_summary(Path("run")), finished=False))
    again = resume_run(Path("run"))
    made = [r for r in run_training(again) if isinstance(r, Step)]
    assert made == []
    assert again.state.step == steps
    assert again.state.best is not None
    assert best is not None
    assert again.state.best.validation_loss == best.validation_loss
    assert read_summary(Path("run")).finished


def test_resumed_run_ends_by_its_deadline(tiny: Tiny) -> None:
    interrupted_at(tiny, 5, minutes=10)
    ends = time.perf_counter() + 5
    again = resume_run(Path("run"), ends=ends)
    for _ in run_training(again):
        pass
    assert time.perf_counter() <= ends + 0.5
    assert read_summary(Path("run")).finished


def test_run_whose_preparation_took_all_its_time_can_be_resumed(tiny: Tiny) -> None:
    config = make_config(tiny | {"minutes": 0.1})
    run = create_run(config, Path("run"), ends=time.perf_counter() - 5)
    for _ in run_training(run):
        pass
    write_summary(Path("run"), msgspec.structs.replace(read_summary(Path("run")), finished=False))
    again = resume_run(Path("run"))
    assert again.state.step == run.state.step >= 1
