"""Series of runs told as they go: what they will cost, how far they are, how long they take yet."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console

from descend.lab.search import LEAST_TRIALS, SearchPlan
from descend.lab.sentences import value_word
from descend.lab.steering import Heard
from descend.machine import crowding
from descend.report.live import print_line
from descend.trials.arms import Arm, Outcome
from descend.trials.executor import Told, cached, silent, worker_count
from descend.trials.expense import estimate_each
from descend.trials.on_ray import cluster
from descend.trials.starting import start_seconds
from descend.units import duration

CROWDED = 1.2
"""Times as long as alone from which it is told."""

PREPARING = "preparing the text, and timing a step or two"

STOPPING = "Ctrl-C stops and loses what is under way; the same again goes on from what is done"

NO_TIME = "no time left for another"
"""Beside what confirms the best one, at the pace of the trials so far."""


@contextmanager
def series_shown(
    arms: Sequence[Arm], workers: int | None, console: Console | None
) -> Iterator[Told]:
    """Say what `arms` will cost; gives who is to be told of each that is done. Without a console
    nothing is said."""
    if console is None:
        yield silent
        return
    distinct = {arm.key: arm for arm in arms}
    # Before anything is timed: a cluster that cannot be had ends it here.
    count = worker_count([a for key, a in distinct.items() if cached(key) is None], workers)
    print_line(PREPARING, console)
    costs = estimate_each(arms)
    start = start_seconds() if count > 1 and not cluster() else 0.0
    print_line(_cost_line(len(distinct), costs, count, start), console)
    yield _telling(costs, start, console)


def _cost_line(total: int, costs: Mapping[str, float], count: int, start: float) -> str:
    """What runs that each take `costs` alone will take together."""
    address = cluster()
    crowd = 1.0 if address else crowding(count)
    seconds = start + crowd * max(max(costs.values(), default=0.0), sum(costs.values()) / count)
    known = total - len(costs)
    return (
        f"{total} runs"
        + (f", {known} of them made before" if known else "")
        + f": about {duration(seconds)}, {count} at a time{beside(crowd)}"
        + (f" on the cluster {address}, if it is as fast as this machine" if address else "")
        + f"; {STOPPING}"
    )


def _telling(costs: Mapping[str, float], start: float, console: Console) -> Told:
    began = time.perf_counter()
    done_cost = 0.0

    def told(done: int, of: int, arm: Arm, outcome: Outcome) -> None:
        nonlocal done_cost
        cost = costs.get(arm.key)
        if cost is None:
            return
        done_cost += cost
        training = max(time.perf_counter() - began - start, 0.0)
        left = (sum(costs.values()) - done_cost) * training / done_cost
        end = f"validation loss {outcome.validation_loss:.3f}"
        if outcome.diverged_at is not None:
            end = f"diverged at step {outcome.diverged_at}"
        print_line(f"{done} of {of} runs, about {duration(left)} left: {end}", console)

    return told


def beside(crowd: float) -> str:
    """That other programs are at work, where they make it `crowd` times as long."""
    return f", beside other programs {crowd:.1f} times as long as alone" if crowd > CROWDED else ""


def tell_search(plan: SearchPlan, console: Console | None) -> None:
    """Say what a search will cost."""
    if console is None:
        return
    crowd = crowding(plan.workers)
    searching = max(0.0, plan.for_runs - plan.confirming * crowd)
    trials = max(float(LEAST_TRIALS), searching * plan.workers / (plan.cost * crowd))
    print_line("searching " + "; ".join(span.words for span in plan.space), console)
    print_line(
        f"about {duration(plan.seconds)} in all: {trials:.0f} trials or more of "
        f"{duration(plan.training)} of training, {plan.workers} at a time{beside(crowd)}, "
        f"then base and best {plan.terms.seeds} times each with fresh seeds "
        f"({duration(plan.confirming)}); kept in {plan.file.parent}; {STOPPING}",
        console,
    )


def hearing(console: Console | None) -> Callable[[Heard], None]:
    """Who is to be told of each trial of a search that has come to its end."""

    def heard(one: Heard) -> None:
        if console:
            print_line(_trial_line(one), console)

    return heard


def _trial_line(heard: Heard) -> str:
    values = ", ".join(f"{key} {value_word(value)}" for key, value in heard.values.items())
    if heard.why is not None:
        end = f"cannot be tried ({heard.why.rstrip('.')})"
    else:
        end = f"{heard.bits_per_byte:.3f} bits per byte" + (
            ", ended early" if heard.stopped else ""
        )
    best = "" if heard.best is None else f"; best {heard.best:.3f}"
    left = f"about {duration(heard.seconds_left)} left" if heard.seconds_left else NO_TIME
    return f"trial {heard.done}, {left}: {values}: {end}{best}"
