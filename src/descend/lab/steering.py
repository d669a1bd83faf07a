"""A search under way: which trial is next, which is hopeless, and when the time is over."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from descend.errors import ConfigError, DescendError, OutOfMemoryError
from descend.lab import study as studies
from descend.lab.searched import Tried
from descend.lab.space import size_of
from descend.runs.lock import writing
from descend.trials.arms import Arm, Outcome, Point
from descend.trials.executor import cached
from descend.trials.expense import estimate_each
from descend.trials.steered import run_steered

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import Trial

    from descend.lab.search import SearchPlan

MOST_IDLE = 20
"""Configurations in a row that cannot be tried or were tried before: then there is nothing new."""

MOST_FAILURES = 3
"""Trials in a row that fail while they are trained: then it is not the configuration."""


HARDLY_MORE = 1.001
"""So that time divided into equal parts is not short of the last by a rounding."""


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of a trial that has come to an end."""

    values: dict[str, Any]
    bits_per_byte: float | None
    """None: it failed."""
    stopped: bool
    why: str | None
    done: int
    """Trials by now, this one too."""
    best: float | None
    seconds_left: float
    """Of the search; what confirms its best one comes after."""


class UnderWay(msgspec.Struct, frozen=True, kw_only=True):
    """How far the trials are that are being made."""

    shares: list[float]
    """Of the steps of each."""
    done: int
    """Trials that have come to an end."""
    best: float | None
    """Bits per byte."""
    seconds_left: float
    """As in `Heard`."""


Told = Callable[[Heard | UnderWay], None]


def silent(heard: Heard | UnderWay) -> None:
    """Progress that nobody watches."""


def carry_out(plan: SearchPlan, told: Told) -> tuple[Study, float]:
    """Make trials until the time for them is over, or all are made; returns the study and the
    seconds used in all, before too."""
    with writing(plan.file.parent):
        steered = _Steered(plan, told)
        if steered.time_for_another():
            run_steered(steered, plan.workers)
        if steered.fault is not None:
            raise steered.fault
        return steered.study, steered.used


class _Running(NamedTuple):
    trial: Trial
    began: float
    thought: float
    """Seconds it will take."""
    steps: int | None
    """Updates it is to make; None where its epochs say so, and it is judged at its end alone."""


class _Steered:
    """The state of it, told by `run_steered` of all that happens."""

    def __init__(self, plan: SearchPlan, told: Told) -> None:
        self.plan, self.told = plan, told
        self.study: Study = studies.open_study(plan.file, plan.question, plan.budget)
        self.progress = studies.progress_of(self.study, plan.file)
        self.began = time.monotonic()
        self.running: dict[str, _Running] = {}
        """By the key of the arm."""
        self.shares: dict[str, float] = {}
        """Of the steps of those that have said it."""
        self.stopped: set[str] = set()
        self.paces: list[float] = []
        """Seconds that finished trials took, for each that they were thought to."""
        self.failures = 0
        self.fault: DescendError | None = None

    @property
    def used(self) -> float:
        return self.progress.seconds_used + time.monotonic() - self.began

    @property
    def left(self) -> float:
        """Seconds until the confirmation must begin."""
        plan = self.plan
        return plan.seconds - plan.starting - plan.confirming * self.pace - self.used

    @property
    def pace(self) -> float:
        """The middle one of `paces`: one trial in which the machine slept says nothing."""
        return max(statistics.median(self.paces), 1.0) if self.paces else 1.0

    def time_for_another(self) -> bool:
        return self.plan.cost * self.pace <= self.left * HARDLY_MORE

    def next_arm(self) -> Arm | None:
        idle = 0
        while idle < MOST_IDLE and self.fault is None and self.time_for_another():
            if len(self.tried()) + len(self.running) >= size_of(self.plan.space):
                return None
            idle += 1
            trial = studies.ask(self.study, self.plan.space)
            if studies.told_as_before(self.study, trial, self.plan.space):
                continue
            try:
                arm = self.plan.arm(studies.values_of(trial, self.plan.space))
                outcome = cached(arm.key)
                cost = sum(estimate_each([arm]).values())
            except (ConfigError, OutOfMemoryError) as problem:
                studies.tell_failed(self.study, trial, str(problem))
                self._say(trial, None, why=str(problem))
                continue
            if outcome is not None:
                idle = 0
                steps = arm.steps or outcome.steps
                studies.tell(self.study, trial, steps, outcome, stopped=False)
                self._say(trial, outcome)
            elif arm.key in self.running or cost * self.pace > self.left * HARDLY_MORE:
                studies.drop(self.study, trial)
            else:
                self.running[arm.key] = _Running(trial, time.monotonic(), cost, arm.steps)
                return arm
        return None

    def seen(self, key: str, point: Point) -> bool:
        one = self.running[key]
        if one.steps and studies.report(self.study, one.trial, one.steps, point):
            self.stopped.add(key)
            return True
        return False

    def moved(self, key: str, share: float) -> None:
        self.shares[key] = share
        tried = self.tried()
        self.told(
            UnderWay(
                shares=[self.shares.get(key, 0.0) for key in self.running],
                done=len(tried),
                best=_best_of(tried),
                seconds_left=max(self.left, 0.0),
            )
        )

    def done(self, key: str, outcome: Outcome | DescendError) -> None:
        one = self.running.pop(key)
        self.shares.pop(key, None)
        trial = one.trial
        if isinstance(outcome, DescendError):
            self.failures += 1
            studies.tell_failed(self.study, trial, str(outcome))
            self._say(trial, None, why=str(outcome))
            self.fault = outcome if self.failures >= MOST_FAILURES else None
            return
        self.failures = 0
        if key not in self.stopped:
            self.paces.append((time.monotonic() - one.began) / one.thought)
        steps = one.steps or outcome.steps
        studies.tell(self.study, trial, steps, outcome, stopped=key in self.stopped)
        studies.keep(self.study, msgspec.structs.replace(self.progress, seconds_used=self.used))
        self._say(trial, outcome, stopped=key in self.stopped)

    def tried(self) -> list[Tried]:
        return studies.tried_of(self.study, self.plan.space)

    def _say(
        self, trial: Trial, outcome: Outcome | None, stopped: bool = False, why: str | None = None
    ) -> None:
        tried = self.tried()
        self.told(
            Heard(
                values=studies.values_of(trial, self.plan.space),
                bits_per_byte=None if outcome is None else outcome.bits_per_byte,
                stopped=stopped,
                why=why,
                done=len(tried),
                best=_best_of(tried),
                seconds_left=max(self.left, 0.0),
            )
        )


def _best_of(tried: Sequence[Tried]) -> float | None:
    """Bits per byte of the best that was finished."""
    finished = (t.bits_per_byte for t in tried if t.state == "finished" and t.bits_per_byte)
    return min(finished, default=None)
