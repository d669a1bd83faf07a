"""A run that ends at a time: the rate has fallen by then.

At first the schedule follows the clock. Once it is known what a step takes, the end step is chosen
(`end_step`), and the schedule follows the steps. It is chosen again where the run would end too
early or too late, and the schedule follows the clock again where it is far behind. A checkpoint
holds what was decided up to it. So a run that is resumed makes the same steps at the same rates,
unless the end step is chosen anew.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from descend.config import RunConfig
from descend.runs.events import EndStepChosen
from descend.training.end_step import (
    CHOICE_INTERVAL_FRACTION,
    FIRST_CHOICE_FRACTION,
    MIN_MEASURED_STEPS,
    Pace,
    ScheduleSegment,
    choose_end_step,
    is_off,
)
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
    epoch_steps: int
    """Steps from one evaluation to the next."""
    seconds_before: float = 0.0
    """Seconds of training before an interruption."""
    clock: Callable[[], float] = time.perf_counter
    share: Callable[[float], float] = float
    """Returns the number of rank 0; all processes of a run call it together."""
    is_over: bool = False
    """Whether the last evaluation was made."""
    progress: float = 0.0
    """Fraction of the schedule that was reached: it never goes back."""
    segment: ScheduleSegment | None = None
    """How the schedule goes on; None until an end step was chosen."""
    _began: float | None = None
    _step_seconds: float = 0.0
    _evaluation_seconds: float = 0.0
    _next_choice: float = 0.0
    """Seconds of training from which the end step is looked at again."""
    _num_steps: int = 0
    """Steps made in this session. Those that a rollback undid took time too, so they count."""
    _mark: tuple[int, float] | None = None
    """`_num_steps` and seconds, without evaluations, from which the pace is measured."""
    _evaluated: float = 0.0
    """Seconds of all evaluations so far, in this session."""
    _recent: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=RECENT_STEPS))

    def start(self) -> None:
        """Start the clock, if it does not run yet."""
        if self._began is None:
            self._began = self.clock()

    def elapsed(self) -> float:
        """Seconds of training so far."""
        now = 0.0 if self._began is None else self.clock() - self._began
        return self.seconds_before + now

    def shared_elapsed(self) -> float:
        """Seconds of training so far, the same number in all processes: for what they decide."""
        return self.share(self.elapsed())

    def add_step(self, seconds: float, loss: float, accuracy: float) -> None:
        """Take note of how long a step took, and of its loss and accuracy."""
        self._num_steps += 1
        self._recent.append((loss, accuracy))
        before = self._step_seconds or seconds
        self._step_seconds = SMOOTHING * before + (1 - SMOOTHING) * seconds

    def add_evaluation(self, seconds: float) -> None:
        """Take note of how long an evaluation took."""
        self._evaluation_seconds = seconds
        self._evaluated += seconds

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
        elapsed, ends = self.shared_elapsed(), self.training_seconds
        if self.segment is None:
            progress = max(step / total_steps, elapsed / ends)
        else:
            min_progress = self.segment.min_progress_at(elapsed, ends)
            progress = max(self.segment.progress_at(step), min_progress)
        self.progress = min(max(progress, self.progress), 1.0)
        return min(int(total_steps * self.progress), total_steps - 1)

    def choose_end(self, step: int, max_steps: int) -> EndStepChosen | None:
        """Choose the end step after `step` steps, where it is time to and it changes."""
        elapsed = self.shared_elapsed()
        stepped = elapsed - self._evaluated
        if self._mark is None:
            self._mark = (self._num_steps, stepped)  # the step before may have been slower
        num_before, since = self._mark
        num_measured = self._num_steps - num_before
        due = max(self._next_choice, FIRST_CHOICE_FRACTION * self.seconds)
        if elapsed < due or num_measured < MIN_MEASURED_STEPS:
            return None
        step_seconds = (stepped - since) / num_measured
        pace = Pace(step_seconds, self.evaluation_seconds, self.epoch_steps)
        self._mark = (self._num_steps, stepped)
        self._next_choice = elapsed + CHOICE_INTERVAL_FRACTION * self.seconds
        left = self.training_seconds - elapsed
        segment = self.segment
        if segment and not is_off(segment.end_step, step, left, self.seconds, pace):
            return None
        end_step = choose_end_step(step, left, pace, max_steps)
        if segment and end_step == segment.end_step:
            return None
        self.segment = ScheduleSegment(step, self.progress, end_step, elapsed)
        return EndStepChosen(step, end_step, step_seconds)

    def state(self) -> ClockState:
        """What was decided so far."""
        return ClockState(
            seconds=self.seconds, elapsed=self.shared_elapsed(), progress=self.progress,
            segment=self.segment, next_choice=self._next_choice,
            step_seconds=self._step_seconds, evaluation_seconds=self._evaluation_seconds,
            recent=list(self._recent), is_over=self.is_over,
        )  # fmt: skip

    def restore(self, state: ClockState) -> None:
        """Take again what was decided before an interruption."""
        self.progress, self.is_over = state.progress, state.is_over
        self.segment = state.segment
        if self.seconds == state.seconds:  # else the end step is chosen again at once
            self._next_choice = state.next_choice
        self._step_seconds = state.step_seconds
        self._evaluation_seconds = state.evaluation_seconds
        self._recent.extend(state.recent)

    def follow(self, leader: ClockState, seconds_before: float) -> None:
        """Take the limit of rank 0, which may have less time than the run had before."""
        self.seconds, self.seconds_before = leader.seconds, seconds_before
        self._next_choice = leader.next_choice

    def is_last(self, state: TrainState, ends_epoch: bool) -> bool:
        """Whether the step just made is the last: it is the end step, or time is up.

        A run in its last decay (`TrainState.decay`) ends with that.
        """
        segment = None if state.decay else self.segment
        ends = segment is not None and state.step >= segment.end_step
        return ends or self.must_stop(ends_epoch)

    def must_stop(self, ends_epoch: bool) -> bool:
        """Whether the step just made is the last: another, or an evaluation more, has no time."""
        left = self.training_seconds - self.shared_elapsed() - self._step_seconds
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
    config: RunConfig, evaluation_tokens: int, epoch_steps: int, ends: float | None,
    state: TrainState | None = None,
) -> TimeLimit | None:  # fmt: skip
    """The limit that `minutes` of `config` set; None where it is not set.

    `epoch_steps`: steps from one evaluation to the next. `ends`: when the run has to be saved, by
    `time.perf_counter`; None: `minutes` from now, less the training before an interruption.
    `state`: where a resumed run goes on.
    """
    if config.minutes is None:
        return None
    evaluation_steps = evaluation_tokens / (config.batch_size * config.seq_len)
    if state is None:
        return TimeLimit(seconds_left(config, ends), evaluation_steps, epoch_steps)
    clock = state.clock
    elapsed = state.elapsed_seconds if clock is None else max(clock.elapsed, state.elapsed_seconds)
    seconds = 60 * config.minutes if clock is None else clock.seconds
    if ends is not None:  # less time than the run had before: the schedule is spread over that
        seconds = min(seconds, elapsed + ends - time.perf_counter())
    limit = TimeLimit(seconds, evaluation_steps, epoch_steps, elapsed)
    if clock is not None:
        limit.restore(clock)
    return limit


def seconds_left(config: RunConfig, ends: float | None) -> float:
    """Seconds that a run of `config` may still take; infinite without `minutes`."""
    if config.minutes is None:
        return float("inf")
    return 60 * config.minutes if ends is None else ends - time.perf_counter()
