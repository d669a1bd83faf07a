"""How many steps a run makes, by its configuration and its events."""

from __future__ import annotations

from pathlib import Path

import pytest

from descend.diagnosis.run_context import load_run_context
from descend.runs.events import EndStepChosen, Event, Overfitting
from descend.runs.recorded_run import open_recorded_run
from descend.runs.run_length import announced_end_step, planned_steps
from descend.training.recipe import count_total_steps


@pytest.mark.parametrize(
    ("event", "end_step"),
    [
        (EndStepChosen(10, 40, 0.1), 40),
        (Overfitting(50, 5, 4.3, 3, 4.0, 20), 70),
        (Overfitting(50, 5, 4.3, 3, 4.0, 0), None),
    ],
)
def test_announced_end_step_follows_event(
    event: EndStepChosen | Overfitting, end_step: int | None
) -> None:
    assert announced_end_step(event) == end_step


def test_planned_steps_equal_those_of_training(trained: Path) -> None:
    context = load_run_context(trained)
    steps = planned_steps(context.config, context.corpus_count("train_tokens"))
    assert steps == count_total_steps(context.config, context.batches)
    assert steps == context.total_steps == context.num_steps


def test_total_steps_of_interrupted_run_follow_its_last_announcement(trained: Path) -> None:
    run = open_recorded_run(trained)
    events: list[Event] = [e for e in run.steps if e.step <= run.num_steps // 2]
    interrupted = run.with_parts(finished=False, events=events)
    assert interrupted.total_steps == run.num_steps > interrupted.num_steps
    events = [*events, EndStepChosen(3, 7, 0.1)]
    announced = run.with_parts(finished=False, events=events)
    assert announced.total_steps == 7
