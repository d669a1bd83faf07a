"""A run that ends at a time: its schedule follows the clock, so the rate has fallen by then.

A checkpoint holds what the clock decided up to it: how far the schedule is, over how many seconds
it is spread, whether the run is over. A run that is resumed goes on from there. Only what lies
ahead follows the clock anew.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from descend.config import RunConfig
from descend.training.train_state import (
    ClockState,
    EpochAccumulator,
    TrainState,
    epoch_edge_steps,
)

FINISH_SECONDS = 1.5
"""Seconds from the last evaluation to the saved model: samples are written, weights saved.
Origin: 0.4 to 0.9 s for networks of 0.3 to 4 million parameters on one busy core."""

EVALUATION_MARGIN = 1.3
"""How much longer the last evaluation may take than the one before."""

EVALUATION_STEP_RATIO = 1 / 3
"""Time to evaluate a token over the time to train on it: forward against forward and backward."""

SMOOTHING = 0.9

RECENT_STEPS = 20
"""Steps whose mean loss stands for the end of an epoch that the time cuts short."""


@dataclass
class TimeLimit:
    """The seconds that training may take, from its first step to the saved model."""

    seconds: float
    evaluation_steps: float
    """Tokens of one evaluation, in training steps."""
    seconds_before: float = 0.0
    """Seconds of training before an interruption."""
    clock: Callable[[], float] = time.perf_counter
    is_over: bool = False
    """Whether the last evaluation was made."""
    last_schedule_step: int = 0
    """The step of the schedule that was reached: it never goes back."""
    _began: float | None = None
    _step_seconds: float = 0.0
    _evaluation_seconds: float = 0.0
    _recent: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=RECENT_STEPS))

    def start(self) -> None:
        """Start the clock, if it does not run yet."""
        if self._began is None:
            self._began = self.clock()

    def elapsed(self) -> float:
        """Seconds of training so far."""
        now = 0.0 if self._began is None else self.clock() - self._began
        return self.seconds_before + now

    def add_step(self, seconds: float, loss: float, accuracy: float) -> None:
        """Take note of how long a step took, and of its loss and accuracy."""
        self._recent.append((loss, accuracy))
        before = self._step_seconds or seconds
        self._step_seconds = SMOOTHING * before + (1 - SMOOTHING) * seconds

    def add_evaluation(self, seconds: float) -> None:
        """Take note of how long an evaluation took."""
        self._evaluation_seconds = seconds

    @property
    def evaluation_seconds(self) -> float:
        """Expected seconds of an evaluation: as the last one, or reckoned from the steps."""
        reckoned = self.evaluation_steps * EVALUATION_STEP_RATIO * self._step_seconds
        return self._evaluation_seconds or reckoned

    @property
    def training_seconds(self) -> float:
        """Seconds for steps and evaluations before the last evaluation."""
        reserved_seconds = EVALUATION_MARGIN * self.evaluation_seconds + FINISH_SECONDS
        return max(self.seconds - reserved_seconds, 1e-3)

    def schedule_step(self, step: int, total_steps: int) -> int:
        """The step of the schedule (from 0) at step `step` of at most `total_steps`."""
        by_time = int(total_steps * self.elapsed() / self.training_seconds)
        self.last_schedule_step = min(max(step, by_time, self.last_schedule_step), total_steps - 1)
        return self.last_schedule_step

    def state(self) -> ClockState:
        """What was decided so far."""
        return ClockState(
            seconds=self.seconds, elapsed=self.elapsed(), schedule_step=self.last_schedule_step,
            step_seconds=self._step_seconds, evaluation_seconds=self._evaluation_seconds,
            recent=list(self._recent), is_over=self.is_over,
        )  # fmt: skip

    def restore(self, state: ClockState) -> None:
        """Take again what was decided before an interruption."""
        self.last_schedule_step, self.is_over = state.schedule_step, state.is_over
        self._step_seconds = state.step_seconds
        self._evaluation_seconds = state.evaluation_seconds
        self._recent.extend(state.recent)

    def must_stop(self, ends_epoch: bool) -> bool:
        """Whether the step just made is the last: another, or an evaluation more, has no time."""
        left = self.training_seconds - self.elapsed() - self._step_seconds
        return left < (self.evaluation_seconds if ends_epoch else 0.0)

    def close_tally(self, tally: EpochAccumulator, epoch_steps: int) -> None:
        """Let `tally` end here, in an epoch that was to have `epoch_steps`."""
        tally.loss_end = sum(loss for loss, _ in self._recent) / len(self._recent)
        tally.accuracy_end = sum(accuracy for _, accuracy in self._recent) / len(self._recent)
        missing = epoch_edge_steps(epoch_steps) / tally.steps
        if missing > 1:  # the start was to be the mean of more steps than were made
            tally.loss_start *= missing
            tally.accuracy_start *= missing


def make_time_limit(
    config: RunConfig, evaluation_tokens: int, ends: float | None, state: TrainState | None = None
) -> TimeLimit | None:
    """The limit that `minutes` of `config` set; None where it is not set.

    `ends`: when the run has to be saved, by `time.perf_counter`; None: `minutes` from now, less
    the training before an interruption. `state`: where a resumed run goes on.
    """
    if config.minutes is None:
        return None
    evaluation_steps = evaluation_tokens / (config.batch_size * config.seq_len)
    if state is None:
        return TimeLimit(seconds_left(config, ends), evaluation_steps)
    clock = state.clock
    elapsed = state.elapsed_seconds if clock is None else max(clock.elapsed, state.elapsed_seconds)
    seconds = 60 * config.minutes if clock is None else clock.seconds
    if ends is not None:  # less time than the run had before: the schedule is spread over that
        seconds = min(seconds, elapsed + ends - time.perf_counter())
    limit = TimeLimit(seconds, evaluation_steps, elapsed)
    if clock is not None:
        limit.restore(clock)
    return limit


def describe_resumed_clock(config: RunConfig) -> list[str]:
    """What to say of a run with `minutes` that is resumed: one sentence, or none."""
    if config.minutes is None:
        return []
    return ["the schedule goes on from the checkpoint, and the rest follows the clock: it may "
            "differ from a run without an interruption"]  # fmt: skip


def seconds_left(config: RunConfig, ends: float | None) -> float:
    """Seconds that a run of `config` may still take; infinite without `minutes`."""
    if config.minutes is None:
        return float("inf")
    return 60 * config.minutes if ends is None else ends - time.perf_counter()
