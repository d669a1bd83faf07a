"""A search under way: which trial is next, which is unpromising, and when the time is over."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from descend.errors import ConfigError, DescendError, OutOfMemoryError
from descend.experiments.search import study as studies
from descend.experiments.search.search_result import SearchTrial
from descend.experiments.search.space import count_configs
from descend.runs.lock import lock_run_folder
from descend.trials.adaptive import run_adaptive_trials
from descend.trials.cached_trial import load_cached_result
from descend.trials.cost_estimate import estimate_trial_seconds
from descend.trials.trial_spec import EvalPoint, TrialResult, TrialSpec

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import Trial

    from descend.experiments.search.search_plan import SearchPlan

MAX_IDLE = 20
"""Configurations in a row that cannot be tried or were tried before: then there is nothing new."""

MAX_FAILURES = 3
"""Trials in a row that fail while they are trained: then it is not the configuration."""


HARDLY_MORE = 1.001
"""So that time divided into equal parts is not short of the last by a rounding."""


class TrialEnded(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of a trial that has come to an end."""

    values: dict[str, Any]
    bits_per_byte: float | None
    """None: it failed."""
    stopped: bool
    failure_reason: str | None
    done: int
    """Trials by now, this one too."""
    best: float | None
    remaining_seconds: float
    """Of the search; what confirms its best one comes after."""


class TrialsRunning(msgspec.Struct, frozen=True, kw_only=True):
    """How far the trials are that are being made."""

    fractions_done: list[float]
    """Of the steps of each."""
    done: int
    """Trials that have come to an end."""
    best: float | None
    """Bits per byte."""
    remaining_seconds: float
    """As in `TrialProgress`."""


SearchCallback = Callable[[TrialEnded | TrialsRunning], None]


def ignore_progress(progress: TrialEnded | TrialsRunning) -> None:
    """Progress that nobody watches."""


def run_search_loop(plan: SearchPlan, on_progress: SearchCallback) -> tuple[Study, float]:
    """Make trials until the time for them is over, or all are made; returns the study and the
    seconds used in all, before too."""
    with lock_run_folder(plan.file.parent):
        search_loop = _SearchLoop(plan, on_progress)
        if search_loop.time_for_another():
            run_adaptive_trials(search_loop, plan.workers)
        if search_loop.fault is not None:
            raise search_loop.fault
        return search_loop.study, search_loop.used


class _Running(NamedTuple):
    trial: Trial
    began: float
    thought: float
    """Seconds it will take."""
    steps: int | None
    """Updates it is to make; None where its epochs say so, and it is judged at its end alone."""


class _SearchLoop:
    """The state of it, updated by `run_steered`."""

    def __init__(self, plan: SearchPlan, report_progress: SearchCallback) -> None:
        self.plan, self.report_progress = plan, report_progress
        self.study: Study = studies.open_study(plan.file, plan.search_key, plan.budget)
        self.progress = studies.progress_of(self.study, plan.file)
        self.began = time.monotonic()
        self.running: dict[str, _Running] = {}
        """By the key of the trial."""
        self.fractions_done: dict[str, float] = {}
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
    def remaining_seconds(self) -> float:
        """Seconds until the confirmation must begin."""
        plan = self.plan
        return plan.seconds - plan.starting - plan.confirmation_seconds * self.pace - self.used

    @property
    def pace(self) -> float:
        """The middle one of `paces`: one trial in which the machine slept says nothing."""
        return max(statistics.median(self.paces), 1.0) if self.paces else 1.0

    def time_for_another(self) -> bool:
        return self.plan.trial_seconds * self.pace <= self.remaining_seconds * HARDLY_MORE

    def next_trial(self) -> TrialSpec | None:
        idle = 0
        while idle < MAX_IDLE and self.fault is None and self.time_for_another():
            if len(self.tried()) + len(self.running) >= count_configs(self.plan.space):
                return None
            idle += 1
            trial = studies.next_trial(self.study, self.plan.space)
            if studies.reuse_duplicate_result(self.study, trial, self.plan.space):
                continue
            try:
                spec = self.plan.make_spec(studies.values_of(trial, self.plan.space))
                result = load_cached_result(spec.key)
                cost = sum(estimate_trial_seconds([spec]).values())
            except (ConfigError, OutOfMemoryError) as problem:
                studies.record_failure(self.study, trial, str(problem))
                self._say(trial, None, failure_reason=str(problem))
                continue
            if result is not None:
                idle = 0
                steps = spec.steps or result.steps
                studies.record_result(self.study, trial, steps, result, stopped=False)
                self._say(trial, result)
            elif (
                spec.key in self.running or cost * self.pace > self.remaining_seconds * HARDLY_MORE
            ):
                studies.discard_trial(self.study, trial)
            else:
                self.running[spec.key] = _Running(trial, time.monotonic(), cost, spec.steps)
                return spec
        return None

    def on_evaluation(self, key: str, point: EvalPoint) -> bool:
        one = self.running[key]
        if one.steps and studies.report_and_check_pruning(one.trial, one.steps, point):
            self.stopped.add(key)
            return True
        return False

    def on_progress(self, key: str, share: float) -> None:
        self.fractions_done[key] = share
        tried = self.tried()
        self.report_progress(
            TrialsRunning(
                fractions_done=[self.fractions_done.get(key, 0.0) for key in self.running],
                done=len(tried),
                best=_best_of(tried),
                remaining_seconds=max(self.remaining_seconds, 0.0),
            )
        )

    def on_result(self, key: str, result: TrialResult | DescendError) -> None:
        one = self.running.pop(key)
        self.fractions_done.pop(key, None)
        trial = one.trial
        if isinstance(result, DescendError):
            self.failures += 1
            studies.record_failure(self.study, trial, str(result))
            self._say(trial, None, failure_reason=str(result))
            self.fault = result if self.failures >= MAX_FAILURES else None
            return
        self.failures = 0
        if key not in self.stopped:
            self.paces.append((time.monotonic() - one.began) / one.thought)
        steps = one.steps or result.steps
        studies.record_result(self.study, trial, steps, result, stopped=key in self.stopped)
        studies.save_progress(
            self.study, msgspec.structs.replace(self.progress, seconds_used=self.used)
        )
        self._say(trial, result, stopped=key in self.stopped)

    def tried(self) -> list[SearchTrial]:
        return studies.finished_trials(self.study, self.plan.space)

    def _say(
        self,
        trial: Trial,
        result: TrialResult | None,
        stopped: bool = False,
        failure_reason: str | None = None,
    ) -> None:
        tried = self.tried()
        self.report_progress(
            TrialEnded(
                values=studies.values_of(trial, self.plan.space),
                bits_per_byte=None if result is None else result.bits_per_byte,
                stopped=stopped,
                failure_reason=failure_reason,
                done=len(tried),
                best=_best_of(tried),
                remaining_seconds=max(self.remaining_seconds, 0.0),
            )
        )


def _best_of(tried: Sequence[SearchTrial]) -> float | None:
    """Return bits per byte of the best that was finished."""
    finished = (t.bits_per_byte for t in tried if t.state == "finished" and t.bits_per_byte)
    return min(finished, default=None)
