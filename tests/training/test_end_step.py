"""The end step of a run with `minutes`: in time, with a fallen rate, whatever a step takes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from descend.config import make_config
from descend.runs.event_log import read_events
from descend.runs.events import EndStepChosen, Epoch, Step
from descend.training.checkpoint import save_checkpoint
from descend.training.end_step import SAFETY_FRACTION, Pace, ScheduleSegment, choose_end_step
from descend.training.loop import train
from descend.training.step_times import StepTimes
from descend.training.time_limit import FINISH_SECONDS, TimeLimit
from descend.training.train_state import TrainState
from descend.training.trainer import run_training
from descend.training.training_run import create_run, resume_run

Tiny = dict[str, Any]

PACES = st.builds(
    Pace, st.floats(1e-4, 10.0), st.floats(0.0, 30.0), st.integers(1, 5000)
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(
    step=st.integers(0, 10**5), left=st.floats(-10.0, 1e5), pace=PACES,
    more=st.integers(0, 10**6),
)  # fmt: skip
def test_chosen_step_is_the_last_that_has_time(
    step: int, left: float, pace: Pace, more: int
) -> None:
    end = choose_end_step(step, left, pace, step + more)
    assert step <= end <= step + more
    assert pace.seconds_for(step, end) <= max(left, 0.0)
    beyond = end + int(pace.evaluation_seconds / pace.step_seconds) + 2
    if beyond <= step + more and left > 0:
        assert pace.seconds_for(step, beyond) > (1 - SAFETY_FRACTION) * left


@given(
    begin=st.integers(0, 1000), progress=st.floats(0.0, 1.0), more=st.integers(1, 1000),
    steps=st.tuples(st.integers(0, 3000), st.integers(0, 3000)),
)  # fmt: skip
def test_progress_rises_to_one(
    begin: int, progress: float, more: int, steps: tuple[int, int]
) -> None:
    segment = ScheduleSegment(begin, progress, begin + more, 0.0)
    low, high = sorted(steps)
    assert progress <= segment.progress_at(low) <= segment.progress_at(high) <= 1.0
    assert segment.progress_at(begin) == pytest.approx(progress)
    assert segment.progress_at(begin + more) == 1.0


class SimulatedRun(NamedTuple):
    """A run on a clock that is set by hand."""

    seconds: float
    steps: int
    progress: list[float]
    choices: list[EndStepChosen]


def simulate(
    seconds: float, step_seconds: Callable[[float], float], evaluation: float, epoch_steps: int,
    max_steps: int, rollback: tuple[int, int] | None = None,
) -> SimulatedRun:  # fmt: skip
    """Drive a `TimeLimit` as the loop does; `step_seconds` of the seconds so far.

    `rollback`: a step, and the one that the run goes back to from there, once.
    """
    now = 0.0
    limit = TimeLimit(seconds, StepTimes(0.0), epoch_steps, clock=lambda: now)
    limit.start()
    state = TrainState(None, [], None)  # type: ignore[arg-type]
    progress, choices, last = [], [], False
    while state.step < max_steps and not last:
        if rollback and state.step == rollback[0]:
            state.step, rollback = rollback[1], None
        limit.schedule_step(state.step, max_steps)
        progress.append(limit.progress)
        took = step_seconds(now)
        now += took
        state.step += 1
        ends_epoch = state.step % epoch_steps == 0 or state.step == max_steps
        limit.add_step(took, 1.0, 0.5)
        if choice := limit.choose_end(state.step, max_steps):
            choices.append(choice)
        last = limit.is_last(state, ends_epoch)
        if last or ends_epoch:
            now += evaluation
            limit.times.add_evaluation(evaluation)
    return SimulatedRun(now + FINISH_SECONDS, state.step, progress, choices)


@settings(max_examples=40, deadline=None)
@given(
    seconds=st.floats(20.0, 600.0), steps=st.integers(100, 3000), epochs=st.integers(1, 20),
    evaluation=st.floats(0.0, 0.03), changes_at=st.floats(0.0, 1.0), factor=st.floats(0.4, 2.5),
    spare=st.floats(1.0, 5.0),
)  # fmt: skip
def test_simulated_run_ends_in_time(
    seconds: float, steps: int, epochs: int, evaluation: float, changes_at: float,
    factor: float, spare: float,
) -> None:  # fmt: skip
    """On a machine that is another than expected, and changes its pace in the midst of it."""
    each = seconds / steps
    run = simulate(
        seconds,
        lambda now: each if now < changes_at * seconds else each * factor,
        evaluation * seconds, max(1, steps // epochs), round(spare * 2.5 * steps),
    )  # fmt: skip
    assert run.seconds <= 1.05 * seconds
    assert run.progress == sorted(run.progress)
    if changes_at < 0.8:
        assert run.seconds >= 0.88 * seconds - evaluation * seconds
        assert run.progress[-1] >= 0.9


def test_steady_machine_uses_its_time_with_one_choice() -> None:
    run = simulate(180.0, lambda now: 0.04, 0.7, 430, 10_000)
    assert 0.95 * 180 <= run.seconds <= 180
    assert len(run.choices) == 1
    assert run.progress[-1] > 0.999


@pytest.mark.parametrize(("failed", "good"), [(42, 7), (60, 25), (70, 46)])
def test_rolled_back_steps_do_not_end_the_run_early(failed: int, good: int) -> None:
    """They took time, so the pace is that of all steps made, not that of the step number."""
    run = simulate(60.0, lambda now: 0.5, 0.0, 5000, 5000, rollback=(failed, good))
    assert 0.95 * 60 <= run.seconds <= 60
    rises = [after - before for before, after in pairwise(run.progress)]
    assert max(rises) < 0.04


def test_rate_falls_where_single_steps_take_long() -> None:
    """Ever longer steps: no choice is right for long."""
    run = simulate(60.0, lambda now: 0.5 * 1.02**now, 0.0, 1000, 1000)
    assert run.seconds <= 1.05 * 60
    assert run.progress[-1] >= 0.9


def test_text_that_is_the_limit_ends_the_run_before_the_time() -> None:
    run = simulate(180.0, lambda now: 0.04, 0.7, 430, 2000)
    assert run.steps == 2000
    assert run.seconds < 100
    assert run.progress[-1] > 0.999


def config_of(tiny: Tiny, seconds: float) -> Any:
    return make_config(tiny | {"minutes": seconds / 60, "epoch": 5000, "compile": "off"})


def test_run_uses_its_time_and_its_rate_falls_to_zero(tiny: Tiny) -> None:
    """The number of steps allowed is far from what there is time for."""
    run = create_run(config_of(tiny, 6.0), Path("run"))
    took, records = 0.0, []
    assert run.plan.time_limit is not None
    run.plan.time_limit.clock = lambda: took
    for some in train(run.state, run.plan):
        records += some
        took += 0.1
    choices = [r for r in records if isinstance(r, EndStepChosen)]
    steps = [r for r in records if isinstance(r, Step)]
    assert 3.4 <= took <= 6.0  # 1.5 s are for the saving
    assert choices
    assert choices[-1].end_step >= steps[-1].step
    # A step that takes long on a busy machine may be the last before its time.
    assert steps[-1].learning_rate < 0.2 * max(s.learning_rate for s in steps)
    assert isinstance(records[-1], Epoch)


def test_resumed_run_makes_the_same_steps_at_the_same_rates(tiny: Tiny) -> None:
    """Of an end step that was chosen before the interruption, with time enough for it."""
    run = create_run(config_of(tiny, 600.0), Path("run"))
    limit = run.plan.time_limit
    assert limit is not None
    records = run_training(run)
    for record in records:
        if isinstance(record, Step) and record.step == 6:
            limit.segment = ScheduleSegment(6, 0.2, 20, limit.elapsed())
            limit._next_choice = 1e9
        if isinstance(record, Step) and record.step == 7:
            break
    save_checkpoint(Path("run"), run.state)
    records.close()  # type: ignore[attr-defined]
    whole = [r for some in train(run.state, run.plan) for r in some if isinstance(r, Step)]
    resumed = [r for r in run_training(resume_run(Path("run"))) if isinstance(r, Step)]
    assert [s.step for s in resumed] == list(range(8, 21))
    assert [(s.loss, s.learning_rate) for s in resumed] == [
        (s.loss, s.learning_rate) for s in whole
    ]


def test_choice_is_recorded(tiny: Tiny) -> None:
    run = create_run(config_of(tiny, 4.0), Path("run"))
    for _ in run_training(run):
        pass
    choices = [r for r in read_events(Path("run")) if isinstance(r, EndStepChosen)]
    assert choices
    assert run.state.clock is not None
    assert run.state.clock.segment is not None
    assert run.state.clock.segment.end_step == choices[-1].end_step
