"""Epochs that go back in a log without steps: the run was resumed, or another one began.

Where lines name steps, `Counter` finds both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from descend.loss_logs.counter import MIN_FALL_FRACTION, RUN_BEGINS
from descend.loss_logs.log import RunLosses
from descend.loss_logs.points import Point
from descend.loss_logs.positions import format_place
from descend.loss_logs.several_runs import are_separate_runs, name_runs

SAME_RUN = 0.05
"""Fraction of its loss by which a resumed run may differ from what it logged before at the same
epoch: a run that differs by more was trained otherwise."""
MAX_RESTARTS = 20
"""Falls of the epoch above which they are an order of the lines and no restarts."""
COMPARED = 5
"""Losses of each side that are averaged to compare them: single batches jump."""
MIN_AFTER = 2
"""Points that a run must have logged after it began again."""


@dataclass(frozen=True)
class Restart:
    """A fall of the epoch from `before` to `after`; `is_other_run`: nothing before it counts."""

    before: float
    after: float
    is_other_run: bool
    run: RunLosses
    """The run that was left."""


def drop_before_restarts(training: list[Point], validation: list[Point]) -> list[Restart]:
    """Drop from both lists, in place, what a later part of the log replaces; return the restarts.

    A run that went back to an epoch in its middle has its later epochs earlier: the last time
    counts. Of a log of several runs the last one counts.
    """
    if any(p.epoch is None or p.place is not None for p in training):
        return []
    falls = sum(b.epoch < a.epoch for a, b in pairwise(training) if a.epoch and b.epoch is not None)
    if not 0 < falls <= MAX_RESTARTS:
        return []
    restarts: list[Restart] = []
    begin = 0
    are_runs = are_separate_runs(_count_segments(training))
    for index in range(1, len(training)):
        restart = _restart_at(training, begin, index, are_runs=are_runs)
        if restart is not None:
            restarts.append(restart)
            if restart.is_other_run:
                begin = index
    for restart in restarts:
        _drop(training, validation, restart)
    return restarts


def _count_segments(training: list[Point]) -> list[list[float]]:
    """Return the losses in segments, each of which begins where the epochs begin anew."""
    segments: list[list[float]] = []
    last = math.inf
    for point in training:
        assert point.epoch is not None
        if point.epoch < last and point.epoch <= (training[0].epoch or 0.0):
            segments.append([])
        segments[-1].append(point.value)
        last = point.epoch
    return segments


def _restart_at(training: list[Point], begin: int, index: int, *, are_runs: bool) -> Restart | None:
    """Return the restart at a point of the run that began at `begin`; None where it goes on, or
    only its count does. `are_runs`: whether each count from the first epoch is a run."""
    last, point = training[index - 1], training[index]
    assert last.epoch is not None
    assert point.epoch is not None
    first = training[begin]
    assert first.epoch is not None
    if point.epoch >= last.epoch or len(training) - index < MIN_AFTER:
        return None
    fall = first.value - last.value
    is_back = fall > MIN_FALL_FRACTION and point.value > last.value + RUN_BEGINS * fall
    run = RunLosses(first.value, last.value)
    if point.epoch <= first.epoch:
        is_other = is_back or are_runs
        return Restart(last.epoch, point.epoch, is_other_run=True, run=run) if is_other else None
    earlier = [p for p in training[begin:index] if p.epoch is not None and p.epoch >= point.epoch]
    before, after = _mean(earlier), _mean(training[index : index + len(earlier)])
    is_other = is_back or abs(after - before) > SAME_RUN * abs(before)
    return Restart(last.epoch, point.epoch, is_other_run=is_other, run=run)


def _mean(points: list[Point]) -> float:
    """Return the mean of the first losses."""
    compared = points[:COMPARED]
    return sum(p.value for p in compared) / len(compared)


def _drop(training: list[Point], validation: list[Point], restart: Restart) -> None:
    """Drop what was logged before the first fall of the epoch and is replaced after it."""
    at = next(i for i, (a, b) in enumerate(pairwise(training), 1)
              if a.epoch == restart.before and b.epoch == restart.after)  # fmt: skip
    last, cut = training[at - 1].order, training[at].order

    def is_replaced(point: Point) -> bool:
        if restart.is_other_run:
            return True
        return point.epoch is not None and point.epoch >= restart.after

    # A validation loss may stand above the training loss of its epoch.
    def is_before(point: Point) -> bool:
        if point.order >= cut:
            return False
        above = point.order > last and point.epoch is not None and point.epoch < restart.before
        return not above

    validation[:] = [p for p in validation if not (is_before(p) and is_replaced(p))]
    training[:at] = [p for p in training[:at] if not is_replaced(p)]


def describe_restarts(restarts: list[Restart]) -> list[str]:
    """Return a sentence for each kind of restart, with the last of its places."""
    sentences = []
    for is_other, text in (
        (True, "another run: only what follows is judged"),
        (False, "a run that was resumed there: what it logged later before that is left out"),
    ):
        of_kind = [r for r in restarts if r.is_other_run == is_other]
        if of_kind:
            before, after = format_place(of_kind[-1].before), format_place(of_kind[-1].after)
            runs = name_runs([r.run for r in of_kind])
            named = f" (first and last loss of the runs before it: {runs})" if is_other else ""
            sentences.append(
                f"the log goes back from epoch {before} to {after}{_count(len(of_kind))}, which "
                f"looks like {text}{named}"
            )
    return sentences


def describe_resumes(steps: list[float]) -> list[str]:
    """Return a sentence on the steps that a log went back to; none where it did not."""
    if not steps:
        return []
    return [
        f"the log goes back to step {format_place(steps[-1])}{_count(len(steps))}: what it logged "
        "later before that is left out"
    ]


def _count(places: int) -> str:
    return "" if places == 1 else f", the last of {places} such places"
