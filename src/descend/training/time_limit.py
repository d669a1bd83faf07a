"""A run that ends at a time: the rate has fallen by then.

At first the schedule follows the clock. Once it is known what a step takes, the end step is chosen
(`end_step`), and the schedule follows the steps. It is chosen again where the run would end too
early or too late, and the schedule follows the clock again where it is far behind. A checkpoint
holds what was decided up to it. So a run that is resumed makes the same steps at the same rates,
unless the end step is chosen anew.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from descend.config import RunConfig
from descend.runs.events import EndStepChosen
from descend.training.end_step import (
    CHOICE_INTERVAL_FRACTION,
    FIRST_CHOICE_FRACTION,
    Pace,
    ScheduleSegment,
    choose_end_step,
    is_off,
)
from descend.training.running_clock import running_clock
from descend.training.step_times import StepTimes
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

RECENT_STEPS = 20
"""Steps whose mean loss stands for the end of an epoch that the time cuts short."""


@dataclass
class TimeLimit:
    """The seconds that training may take, from its first step to the saved model."""

    seconds: float
    times: StepTimes
    epoch_steps: int
    """Steps from one evaluation to the next."""
    seconds_before: float = 0.0
    """Seconds of training before an interruption."""
    clock: Callable[[], float] = running_clock
    share: Callable[[float], float] = float
    """Returns the number of rank 0; all processes of a run call it together."""
    is_over: bool = False
    """Whether the last evaluation was made."""
    progress: float = 0.0
    """Fraction of the schedule that was reached: it never goes back."""
    segment: ScheduleSegment | None = None
    """How the schedule goes on; None until an end step was chosen."""
    _began: float | None = None
    _next_choice: float = 0.0
    """Seconds of training from which the end step is looked at again."""
    _recent: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=RECENT_STEPS))

    def start(self) -> None:
        """Start the clock, if it does not run yet."""
        if self._began is None:
            self._began = self.clock()

    def elapsed(self) -> float:
        """Return seconds of training so far."""
        now = 0.0 if self._began is None else self.clock() - self._began
        return self.seconds_before + now

    def shared_elapsed(self) -> float:
        """Return seconds of training so far, the same number in all processes: for what they
        decide."""
        return self.share(self.elapsed())

    def add_step(self, seconds: float, loss: float, accuracy: float) -> None:
        """Take note of how long a step took, and of its loss and accuracy."""
        self.times.add_step(seconds)
        self._recent.append((loss, accuracy))

    @property
    def training_seconds(self) -> float:
        """Seconds for steps and evaluations before the last evaluation."""
        reserved_seconds = EVALUATION_MARGIN * self.times.evaluation_seconds + FINISH_SECONDS
        return max(self.seconds - reserved_seconds, 1e-3)

    def schedule_step(self, step: int, total_steps: int) -> int:
        """Return the step of the schedule (from 0) at step `step` of at most `total_steps`."""
        elapsed, ends = self.shared_elapsed(), self.training_seconds
        if self.segment is None:
            progress = max(step / total_steps, elapsed / ends)
        else:
            min_progress = self.segment.min_progress_at(elapsed, ends)
            progress = max(self.segment.progress_at(step), min_progress)
        self.progress = min(max(progress, self.progress), 1.0)
        return min(int(total_steps * self.progress), total_steps - 1)

    def end_step(self, max_steps: int) -> int:
        """Return the step that the run ends with, as far as it is chosen; else `max_steps`."""
        return self.segment.end_step if self.segment else max_steps

    def choose_end(self, step: int, max_steps: int) -> EndStepChosen | None:
        """Choose the end step after `step` steps, where it is time to and it changes."""
        elapsed = self.shared_elapsed()
        self.times.start_measuring(elapsed)
        if elapsed < max(self._next_choice, FIRST_CHOICE_FRACTION * self.seconds):
            return None
        step_seconds = self.times.measure_step(elapsed)
        if step_seconds is None:
            return None
        pace = Pace(step_seconds, self.times.evaluation_seconds, self.epoch_steps)
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
        """Return what was decided so far."""
        return ClockState(
            seconds=self.seconds, elapsed=self.shared_elapsed(), progress=self.progress,
            segment=self.segment, next_choice=self._next_choice,
            step_seconds=self.times.step_seconds,
            evaluation_seconds=self.times.last_evaluation_seconds,
            recent=list(self._recent), is_over=self.is_over,
        )  # fmt: skip

    def restore(self, state: ClockState) -> None:
        """Take again what was decided before an interruption."""
        self.progress, self.is_over = state.progress, state.is_over
        self.segment = state.segment
        if self.seconds == state.seconds:  # else the end step is chosen again at once
            self._next_choice = state.next_choice
        self.times.step_seconds = state.step_seconds
        self.times.last_evaluation_seconds = state.evaluation_seconds
        self._recent.extend(state.recent)

    def follow(self, leader: ClockState, seconds_before: float) -> None:
        """Take the limit of rank 0, which may have less time than the run had before."""
        self.seconds, self.seconds_before = leader.seconds, seconds_before
        self._next_choice = leader.next_choice

    def is_last(self, state: TrainState, ends_epoch: bool) -> bool:
        """Return whether the step just made is the last: it is the end step, or time is up.

        A run in its last decay (`TrainState.decay`) ends with that.
        """
        segment = None if state.decay else self.segment
        ends = segment is not None and state.step >= segment.end_step
        return ends or self.must_stop(ends_epoch)

    def must_stop(self, ends_epoch: bool) -> bool:
        """Return whether the step just made is the last: another, or an evaluation more, has no
        time."""
        left = self.training_seconds - self.shared_elapsed() - self.times.step_seconds
        return left < (self.times.evaluation_seconds if ends_epoch else 0.0)

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
    """Return the limit that `minutes` of `config` set; None where it is not set.

    `epoch_steps`: steps from one evaluation to the next. `ends`: when the run has to be saved, by
    `running_clock`; None: `minutes` from now, less the training before an interruption.
    `state`: where a resumed run goes on.
    """
    if config.minutes is None:
        return None
    times = StepTimes(evaluation_tokens / (config.batch_size * config.seq_len))
    if state is None:
        return TimeLimit(seconds_left(config, ends), times, epoch_steps)
    clock = state.clock
    elapsed = state.elapsed_seconds if clock is None else max(clock.elapsed, state.elapsed_seconds)
    seconds = 60 * config.minutes if clock is None else clock.seconds
    if ends is not None:  # less time than the run had before: the schedule is spread over that
        seconds = min(seconds, elapsed + seconds_left(config, ends))
    limit = TimeLimit(seconds, times, epoch_steps, elapsed)
    if clock is not None:
        limit.restore(clock)
    return limit


def seconds_left(config: RunConfig, ends: float | None) -> float:
    """Return seconds that a run of `config` may still take; infinite without `minutes`, and 0 where
    preparing it has used them up."""
    if config.minutes is None:
        return float("inf")
    return 60 * config.minutes if ends is None else max(ends - running_clock(), 0.0)
