"""The step that a run with a time limit ends with: chosen while it runs, from what its steps take.

The schedule is a straight line of progress over steps, from 0 to 1. Another end step gives what is
ahead another slope. So the rate still falls to its end at the last step, and never rises again.
"""

from __future__ import annotations

import math
from typing import Annotated

import msgspec

from descend.runs.events import Count, Real

FIRST_CHOICE_FRACTION = 0.1
"""Fraction of the time after which the end step is chosen: what a step takes is measured by
then."""

CHOICE_INTERVAL_FRACTION = 0.05
"""Fraction of the time from one look at the end step to the next."""

MIN_MEASURED_STEPS = 5
"""Steps that must have been measured: the first ones take longer."""

SAFETY_FRACTION = 0.02
"""Fraction of the time left that is not planned for: steps take longer now and then."""

MAX_LAG = 0.03
"""Fraction of the schedule ahead by which it may be behind the clock: from there it follows the
clock, so the rate falls in time even where single steps take long."""

EARLY_FRACTION, LATE_FRACTION = 0.03, 0.005
"""Shares of the whole time by which the end may be early or late before it is chosen again."""


class ScheduleSegment(msgspec.Struct, frozen=True):
    """Progress of the schedule from a step to the end step."""

    begin_step: Count
    begin_progress: Annotated[float, msgspec.Meta(ge=0, le=1)]
    """Fraction of the schedule at `begin_step`, 0 to 1."""
    end_step: Count
    """Steps of the whole run."""
    begin_seconds: Real
    """Of training, at `begin_step`."""

    def progress_at(self, step: int) -> float:
        """Return the fraction of the schedule at `step` (from 0); 1 from the end step on."""
        if step >= self.end_step:
            return 1.0
        done = max(step - self.begin_step, 0) / max(self.end_step - self.begin_step, 1)
        return self.begin_progress + (1.0 - self.begin_progress) * done

    def min_progress_at(self, seconds: float, end_seconds: float) -> float:
        """Return least fraction of the schedule after `seconds` of training, which ends at
        `end_seconds`."""
        done = (seconds - self.begin_seconds) / max(end_seconds - self.begin_seconds, 1e-3)
        clock = self.begin_progress + (1.0 - self.begin_progress) * done
        return clock - MAX_LAG * (1.0 - clock)


class Pace(msgspec.Struct, frozen=True):
    """What the steps of a run take, in seconds."""

    step_seconds: float
    """Of a step, with what is done between steps."""
    evaluation_seconds: float
    epoch_steps: int
    """Steps from one evaluation to the next."""

    def seconds_for(self, first: int, last: int) -> float:
        """Return steps `first` + 1 to `last`, and the evaluations before the one that ends the
        run."""
        evaluations = max(0, (last - 1) // self.epoch_steps - first // self.epoch_steps)
        return (last - first) * self.step_seconds + evaluations * self.evaluation_seconds


def choose_end_step(step: int, seconds_left: float, pace: Pace, max_steps: int) -> int:
    """Return the last step that ends within `seconds_left` after `step` steps: at most `max_steps`.

    `seconds_left` holds no time for the last evaluation and the saving. An end just after an epoch
    moves to the end of that epoch: its evaluation is then the last one.
    """
    usable = (1.0 - SAFETY_FRACTION) * max(seconds_left, 0.0)
    low, high = step, max(step, max_steps)
    if pace.step_seconds > 0:
        high = min(high, step + math.floor(usable / pace.step_seconds))
    while low < high:
        middle = (low + high + 1) // 2
        if pace.seconds_for(step, middle) <= usable:
            low = middle
        else:
            high = middle - 1
    beyond = low % pace.epoch_steps
    if 0 < beyond * pace.step_seconds < pace.evaluation_seconds and low - beyond > step:
        return low - beyond
    return low


def is_off(end_step: int, step: int, seconds_left: float, seconds: float, pace: Pace) -> bool:
    """Return whether a run of `end_step` steps would end too early or too late, by `seconds` in
    all."""
    spare = seconds_left - pace.seconds_for(step, end_step)
    return spare > EARLY_FRACTION * seconds or spare < -LATE_FRACTION * seconds
