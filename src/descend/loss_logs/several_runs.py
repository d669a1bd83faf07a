"""Short trainings one after the other in one log, as of a notebook that tries settings.

Each begins anew: the counter restarts and the loss is back at its start. `Counter` finds such a
restart by itself where the loss had fallen far. Where each run is short, only all of them together
tell runs from the epochs of one run.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

from descend.loss_logs.log import RunLosses
from descend.loss_logs.point_store import MIN_LOSSES
from descend.loss_logs.points import Point

MIN_BEGINS_HIGHEST = 0.75
"""Fraction of the runs that begin with their highest loss: a run may diverge."""
MIN_BACK = 0.25
"""Fraction of the later runs that begin above the middle of the first run's fall. In one run no
epoch does after the first. Runs with better settings do not either."""
MIN_CHANCES = 60.0
"""One in so many is the chance that noise alone puts the highest loss first each time."""
MAX_NAMED = 20
"""Runs that a note names one by one."""


def are_separate_runs(segments: Sequence[Sequence[float]]) -> bool:
    """Return whether segments of losses, each from the start of a counter, are runs of their own
    and no epochs of one run."""
    whole = [[x for x in s if math.isfinite(x)] for s in segments]
    whole = [s for s in whole if len(s) >= MIN_LOSSES]
    if len(whole) < 2:
        return False
    falling = [s for s in whole if s[0] == max(s) and s[-1] < s[0]]
    choices = math.comb(len(whole), len(falling))
    log_chances = sum(math.log(len(s)) for s in falling) - math.log(choices)
    if len(falling) < MIN_BEGINS_HIGHEST * len(whole) or log_chances < math.log(MIN_CHANCES):
        return False
    middle = (whole[0][0] + whole[0][-1]) / 2
    back = sum(s[0] > middle for s in whole[1:])
    return whole[0][0] > whole[0][-1] and back >= MIN_BACK * (len(whole) - 1)


def split_runs(training: list[Point], starts: Sequence[float]) -> list[list[Point]]:
    """Return the points of each run; all of them in one where the log holds one run.

    `starts`: places at which a counter began anew.
    """
    if any(p.place is None or p.epoch is not None for p in training):
        return [training]
    by_start: dict[int, list[Point]] = {}
    for point in training:
        by_start.setdefault(bisect_right(starts, point.place or 0.0), []).append(point)
    segments = list(by_start.values())
    are_runs = are_separate_runs([[p.value for p in s] for s in segments])
    return segments if are_runs else [training]


def take_last_run(
    training: list[Point], validation: list[Point], starts: Sequence[float]
) -> list[RunLosses]:
    """Drop from both lists, in place, all but the last run that can be judged; return the runs up
    to that one."""
    runs = split_runs(training, starts)
    index = max((i for i, run in enumerate(runs) if len(run) >= MIN_LOSSES), default=0)
    if len(runs) > 1:
        _cut(training, validation, runs, index)
    return [run_losses(run) for run in runs[: index + 1] if run]


def run_losses(run: Sequence[Point]) -> RunLosses:
    """Return the first and the last loss of a run."""
    return RunLosses(run[0].value, run[-1].value)


def is_of_earlier_run(stated: int, first: int, last: int) -> bool:
    """Return whether what was stated after so many rows is of runs whose rows come after `first`
    and end with `last`: a heading above all runs is of each, and one below `last` of the next."""
    return first < stated < last


def _cut(
    training: list[Point], validation: list[Point], runs: list[list[Point]], index: int
) -> None:
    """Leave one run in both lists, with places counted from its own start."""
    run = runs[index]
    before = runs[index - 1][-1] if index else None
    after = runs[index + 1][0].order if index + 1 < len(runs) else math.inf
    offset = (run[0].place or 0.0) - (runs[0][0].place or 0.0)

    def is_of_run(point: Point) -> bool:
        # A validation loss below the last training loss of a run belongs to that run.
        if point.place is None:
            return run[0].order < point.order < after
        is_later = before is None or (
            point.order > before.order and point.place > (before.place or 0.0)
        )
        return is_later and point.order < after

    validation[:] = [p for p in validation if is_of_run(p)]
    training[:] = run
    for point in [*training, *validation]:
        point.place = None if point.place is None else point.place - offset
        first = runs[0][0].order - 1
        if before is not None and is_of_earlier_run(point.rate_order, first, before.order):
            point.rate = None


def describe_runs(runs: Sequence[RunLosses], *, is_restored: bool) -> list[str]:
    """Return a sentence that names each run; none where there is one. `is_restored`: whether a run
    follows that has just begun, so that the last one is there twice."""
    if len(runs) < 2:
        return []
    if is_restored:
        return [
            "another run begins at the end of this file, with too few losses to be judged. The "
            f"last run before it is judged. Those with first and last loss: {name_runs(runs[:-1])}"
        ]
    return [
        f"several runs are in this file: only the last one of {MIN_LOSSES} losses or more is "
        f"judged. The {len(runs)} runs with their first and last loss: {name_runs(runs)}"
    ]


def name_runs(runs: Sequence[RunLosses]) -> str:
    """Return the number of each run with its first and last loss."""
    named = [f"{i}: {r.first:.2f} → {r.last:.2f}" for i, r in enumerate(runs, 1)]
    if len(named) > MAX_NAMED:
        named = [*named[: MAX_NAMED // 2], "...", *named[-(MAX_NAMED // 2) :]]
    return ", ".join(named)
