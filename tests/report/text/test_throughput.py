"""The time that is left of a run, estimated from its events."""

from __future__ import annotations

import math
import random
import statistics
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from descend.config import make_config
from descend.report.text.run_header import run_header_lines
from descend.report.text.throughput import RemainingTime, remaining_time
from descend.runs.events import CheckpointSaved, Epoch, Overfitting, Sample, Step
from descend.training.trainer import run_training
from descend.training.training_run import create_run, resume_run

TOTAL, PER_EPOCH = 300, 50


class Clock:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def step_of(number: int, seconds: float) -> Step:
    return Step(number, 1, 3.0, 0.2, 1e-3, 1.0, clipped=False, seconds=seconds)


def epoch_of(number: int, step: int) -> Epoch:
    return Epoch(number, step, 3.0, 3.0, 0.2, 0.2, 3.0, 0.2, 2.0, 1000.0, 1.0)


def evaluations_left(step: int, total: int) -> int:
    return math.ceil(total / PER_EPOCH) - step // PER_EPOCH


def simulate(
    step_seconds: list[float], evaluation: float, sample: float, checkpoint: float
) -> list[tuple[float, float]]:
    """What is estimated after each step, beside what the rest takes."""
    clock = Clock()
    # Before the first evaluation its cost is a guess, here one that is off by a third.
    guess = evaluation / statistics.median(step_seconds) * 0.67
    remaining = RemainingTime(TOTAL, evaluations_left, guess, None, clock)
    last_sample, last_checkpoint, estimates, moments = 0.0, 0.0, [], []
    for number, seconds in enumerate(step_seconds, 1):
        clock.now += seconds
        ends_epoch = number % PER_EPOCH == 0 or number == TOTAL
        clock.now += evaluation * ends_epoch
        remaining.add(step_of(number, seconds))
        if ends_epoch:
            remaining.add(epoch_of(number // PER_EPOCH, number))
        if clock.now - last_sample >= (20 if last_sample else 10):
            clock.now += sample
            last_sample = clock.now
            remaining.add(Sample(number, "The", " cat"))
        if number == 1 or clock.now - last_checkpoint > checkpoint / 0.02:
            clock.now += checkpoint
            last_checkpoint = clock.now
            remaining.add(CheckpointSaved(number, checkpoint))
        moments.append(clock.now)
        estimates.append(remaining.seconds())
    clock.now += 3 * sample  # what the finished model writes
    return [
        (estimate, clock.now - then)
        for estimate, then in zip(estimates, moments, strict=True)
        if estimate is not None
    ]


@settings(max_examples=60, deadline=None)
@given(
    step=st.floats(0.02, 3.0),
    slow_steps=st.integers(0, 12),
    slowness=st.floats(1.0, 60.0),
    jitter=st.floats(0.0, 0.2),
    recording=st.floats(1.0, 2.5),
    evaluation_steps=st.floats(0.5, 25.0),
    seed=st.integers(0, 1000),
)
def test_time_left_is_within_a_fifth_after_the_first_tenth(
    step: float, slow_steps: int, slowness: float, jitter: float, recording: float,
    evaluation_steps: float, seed: int,
) -> None:  # fmt: skip
    chance = random.Random(seed)
    times = [step * math.exp(chance.gauss(0, jitter)) for _ in range(TOTAL)]
    times = [t * (recording if n % 25 == 0 else 1) for n, t in enumerate(times)]
    times[:slow_steps] = [t * slowness for t in times[:slow_steps]]
    pairs = simulate(times, evaluation_steps * step, min(0.5, 5 * step), min(0.3, step))
    after_a_tenth = pairs[TOTAL // 10 :]
    for estimate, actual in after_a_tenth:
        assert abs(estimate - actual) <= 0.2 * actual + max(2.0, 5 * step)


def test_one_slow_step_does_not_change_the_estimate() -> None:
    steady, accident = [1.0] * TOTAL, [1.0] * TOTAL
    accident[40] = 30.0
    before, after = (simulate(t, 5.0, 0.1, 0.1)[45][0] for t in (steady, accident))
    assert after == pytest.approx(before, rel=0.02)


def test_time_left_ignores_compiling_first_steps() -> None:
    pairs = simulate([60.0, 30.0, 20.0] + [1.0] * (TOTAL - 3), 5.0, 0.1, 0.1)
    assert pairs[0][0] == pytest.approx(pairs[0][1], rel=0.2)


def test_time_left_never_exceeds_the_time_limit() -> None:
    clock = Clock()
    remaining = RemainingTime(1000, lambda step, total: 1, 1.0, lambda: 60 - clock.now, clock)
    for number in range(1, 10):
        clock.now += 1.0
        remaining.add(step_of(number, 1.0))
    assert remaining.seconds() == pytest.approx(51.0)


def test_cost_of_an_estimate_does_not_grow_with_the_run() -> None:
    """It is made in each step: in a long run of short steps it must not take their time."""
    remaining = RemainingTime(10**6, lambda step, total: 1, 1.0, None, Clock())
    chance = random.Random(0)
    for number in range(1, 50_001):
        remaining.add(step_of(number, chance.uniform(0.005, 0.015)))
    began = time.process_time()
    for _ in range(20):
        assert remaining.step_seconds() == pytest.approx(0.01, rel=0.1)
    assert (time.process_time() - began) / 20 < 0.002


def test_time_left_follows_the_end_that_overfitting_sets() -> None:
    clock = Clock()
    remaining = RemainingTime(TOTAL, evaluations_left, 1.0, None, clock)
    for number in range(1, 101):
        clock.now += 1.0
        remaining.add(step_of(number, 1.0))
    remaining.add(Overfitting(100, 2, 3.1, 1, 3.0, decay_steps=20))
    assert remaining.total_steps == 120
    left = remaining.seconds()
    assert left is not None
    assert left < 30


def test_estimate_of_a_real_run_ends_at_zero(tiny: dict[str, Any], tmp_path: Path) -> None:
    run = create_run(make_config(tiny | {"epoch": 2}), tmp_path / "run")
    remaining, estimates = remaining_time(run), []
    for record in run_training(run):
        remaining.add(record)
        estimates.append(remaining.seconds())
    known = [left for left in estimates if left is not None]
    assert min(known) >= 0
    assert max(known) > 0
    assert estimates[-1] == 0


def test_resumed_run_shows_estimated_duration(tiny: dict[str, Any], tmp_path: Path) -> None:
    run = create_run(make_config(tiny | {"epoch": 3}), tmp_path / "run")
    records = run_training(run)
    for record in records:
        if record.step > run.plan.total_steps * 0.6:
            break
    records.close()  # type: ignore[attr-defined]
    resumed = resume_run(tmp_path / "run")
    assert resumed.resume_point is not None
    assert (resumed.resume_point.step_seconds or 0.0) > 0
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
