"""The time that the trials of a diagnosis may take, and how it is counted.

A trial counts by the seconds it was at work, also when its result comes from the cache. So the
same diagnosis run twice makes the same trials and gives the same verdict. The clock only bounds it.
"""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass

from descend.trials.trial_spec import TrialResult, TrialSpec

TRIAL_START_SECONDS = 0.3
"""Of a trial before its first step: text, network, optimizer. Measured: 0.1 s on 60 kB of text that
was prepared before, somewhat more on megabytes."""
MAX_WALL_RATIO = 1.5
"""Wall time over the seconds at work from which no trial is begun: other programs have the cores.
First guess."""


@dataclass
class TrialBudget:
    """Seconds of trials, side by side as they run."""

    total: float
    ends: float = math.inf
    """When no further trial is begun (monotonic seconds)."""
    spent: float = 0.0
    limit: float = math.nan
    """Of `total`, for the stage under way; left out: all of it."""
    is_cut_by_clock: bool = False
    """Whether the clock has forbidden trials for which there were seconds."""

    def __post_init__(self) -> None:
        if math.isnan(self.limit):
            self.limit = self.total

    def remaining_seconds(self) -> float:
        """Return the seconds that trials of this stage may still take."""
        return min(self.limit - self.spent, self.ends - time.monotonic())

    def allows(self, seconds: float) -> bool:
        """Return whether trials of so many seconds may begin. Note where only the clock forbids
        it."""
        fits = seconds <= self.limit - self.spent
        in_time = seconds <= self.ends - time.monotonic()
        self.is_cut_by_clock |= fits and not in_time
        return fits and in_time

    def limit_stage(self, fraction: float) -> None:
        """Leave to the trials that follow what is not spent of this fraction of `total`."""
        self.limit = fraction * self.total

    def begin_rest(self) -> None:
        """Make what is left the total of what follows."""
        self.total = self.limit = max(self.total - self.spent, 0.0)
        self.spent = 0.0


def start_budget(seconds: float) -> TrialBudget:
    """Return a budget of `seconds` that begins now."""
    return TrialBudget(seconds, time.monotonic() + MAX_WALL_RATIO * seconds)


def evaluated_tokens(spec: TrialSpec, steps: int, validation_tokens: int) -> int:
    """Return the validation tokens that a trial reads, over all its evaluations."""
    num_evaluations = 1 + (steps // spec.evaluate_every if spec.evaluate_every else 0)
    return num_evaluations * min(spec.evaluation_tokens, validation_tokens)


def seconds_at_work(spec: TrialSpec, result: TrialResult, validation_tokens: int) -> float:
    """Return the seconds of a trial: its training, its evaluations, and its start.

    An evaluation takes a third of the time of training on as many tokens.
    """
    evaluated = evaluated_tokens(spec, result.steps, validation_tokens)
    return TRIAL_START_SECONDS + result.seconds * (1 + evaluated / 3 / max(result.tokens, 1))


def side_by_side_seconds(seconds: Iterable[float], num_parallel: int) -> float:
    """Return the time until all are done where each starts as soon as there is room for it."""
    busy_until = [0.0] * max(num_parallel, 1)
    for each in seconds:
        heapq.heapreplace(busy_until, busy_until[0] + each)
    return max(busy_until)
