"""The time that a run still needs, estimated from the events as they come."""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable

from descend.runs.events import (
    CheckpointSaved,
    Epoch,
    Event,
    Rollback,
    Sample,
    Step,
    TrainingStarted,
)
from descend.runs.run_length import announced_end_step
from descend.training.step_times import EVALUATION_STEP_RATIO
from descend.training.text_samples import PROMPTS
from descend.training.training_run import MAX_VALIDATION_TOKENS, TrainingRun

SETTLING = 3
"""Steps that are left out: the first ones compile, and warm caches up."""

MIN_WINDOW = 30
"""Steps whose mean is the step time, where as many were made: fewer scatter."""

MAX_STORED_STEPS = 600
"""Steps that are stored, of whose later half the mean is taken. The estimate is made anew in each
step, so its cost must not grow with the run."""

MIN_SETTLED, SLOW_START_RATIO = 6, 1.5
"""Steps from which a slow start can be detected, and times the median that makes a step slow."""

OUTLIER_RATIO = 5.0
"""A step that takes so many times the median, and is the only one, is an accident of the machine.
Two are a pattern, such as the statistics of every 25th step, and count."""


class RemainingTime:
    """Estimates the seconds that a run still needs.

    It adds up the steps that are left at the time of recent ones, the evaluations that are left at
    the time of the last one, and the fraction of the time that samples and checkpoints have taken.
    """

    def __init__(
        self,
        total_steps: int,
        evaluations_left: Callable[[int, int], int],
        evaluation_steps: float,
        seconds_to_limit: Callable[[], float] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Start the clock.

        `evaluations_left(step, total)`: how many come after `step`. `evaluation_steps`: what an
        evaluation costs in training steps, until the first one is measured. `seconds_to_limit`:
        the seconds to the time limit of the run, if it has one.
        """
        self.total_steps = total_steps
        self._evaluations_left, self._seconds_to_limit = evaluations_left, seconds_to_limit
        self._evaluation_steps = evaluation_steps
        self._clock = clock
        self._last_event = clock()
        self._step = 0
        self._step_seconds: deque[float] = deque(maxlen=MAX_STORED_STEPS)
        self._pause = 0.0
        self._evaluation_seconds: float | None = None
        self._work_seconds = 0.0
        self._extra_seconds = 0.0
        self._sample_seconds = 0.0

    def add(self, event: Event) -> None:
        """Note `event`, which has just come."""
        now = self._clock()
        spent, self._last_event = now - self._last_event, now
        if isinstance(event, Step):
            self._step = event.step
            self._step_seconds.append(event.seconds)
            self._pause = max(spent - event.seconds, 0.0)
            self._work_seconds += event.seconds
        elif isinstance(event, Epoch):
            # The step that ends an epoch comes out after its evaluation.
            self._evaluation_seconds = self._pause + spent
            self._work_seconds += self._evaluation_seconds
        elif isinstance(event, Sample | CheckpointSaved):
            self._extra_seconds += spent
            if isinstance(event, Sample):
                self._sample_seconds = spent
        elif isinstance(event, TrainingStarted | Rollback):
            self._step = event.step
        elif (end_step := announced_end_step(event)) is not None:
            self.total_steps = end_step

    def step_seconds(self) -> float | None:
        """Return the mean seconds of recent steps, or None for the first few."""
        settled = _without_slow_start(list(self._step_seconds)[SETTLING:])
        if not settled:
            return None
        recent = settled[-max(MIN_WINDOW, len(settled) // 2) :]
        *others, slowest = sorted(recent)
        if others and _is_accident(slowest, others):
            recent = others
        return statistics.fmean(recent)

    def seconds(self) -> float | None:
        """Return the seconds to the end, or None while too few steps were made."""
        step_seconds = self.step_seconds()
        if step_seconds is None:
            return None
        evaluation = self._evaluation_seconds
        if evaluation is None:
            evaluation = self._evaluation_steps * step_seconds
        steps = max(self.total_steps - self._step, 0)
        evaluations = min(self._evaluations_left(self._step, self.total_steps), steps)
        work = steps * step_seconds + evaluations * evaluation
        extra = min(self._extra_seconds / max(self._work_seconds, 1e-9), 0.1)
        seconds = work * (1 + extra)
        if steps:
            seconds += PROMPTS * self._sample_seconds  # what the finished model writes
        if self._seconds_to_limit is not None:
            seconds = min(seconds, self._seconds_to_limit())
        return max(seconds, 0.0)


def _without_slow_start(seconds: list[float]) -> list[float]:
    """Return `seconds` without the steps at the start that are slower than any is later on."""
    if len(seconds) < MIN_SETTLED:
        return seconds
    limit = SLOW_START_RATIO * statistics.median(seconds[len(seconds) // 2 :])
    start = next((n for n, value in enumerate(seconds) if value <= limit), 0)
    return seconds[start:]


def _is_accident(slowest: float, others: list[float]) -> bool:
    median = statistics.median(others)
    return slowest > OUTLIER_RATIO * median and others[-1] < slowest / 2


def remaining_time(run: TrainingRun) -> RemainingTime:
    """Return the estimator for `run`, which is about to start."""
    plan, batches = run.plan, run.plan.batches

    def evaluations_left(step: int, total: int) -> int:
        return batches.epoch_at_step(total - 1) - batches.epoch_at_step(step) + 1

    limit = plan.time_limit
    tokens = min(len(run.store.validation), MAX_VALIDATION_TOKENS)
    return RemainingTime(
        plan.total_steps,
        evaluations_left,
        EVALUATION_STEP_RATIO * tokens / batches.tokens_per_step,
        None if limit is None else lambda: limit.seconds - limit.elapsed(),
    )
