"""Series of runs told as they go: what they will cost, how far they are, how long they take yet."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape

from rich.console import Console
from rich.live import Live
from rich.text import Text

from descend.lab.search import LEAST_TRIALS, SearchPlan
from descend.lab.sentences import value_word
from descend.lab.steering import Heard, UnderWay
from descend.machine import crowding
from descend.report.live import print_line
from descend.report.live_notebook import renew_cell, shown_in_cell
from descend.trials.arms import Arm, Outcome
from descend.trials.executor import News, Told, cached, silent, worker_count
from descend.trials.expense import estimate_each
from descend.trials.on_ray import cluster
from descend.trials.starting import start_seconds
from descend.units import counted, duration

Renew = Callable[[str], None]

SECONDS_BETWEEN_LINES = 60.0
"""Where no line can be renewed in place: a run that takes hours leaves some hundred lines."""

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
    """Say what `arms` will cost; gives who is to be told of them: each that is done is a line, and
    how far the others are is renewed in place. Without a console nothing is said."""
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
    with line_on(console) as renew:
        yield _telling(costs, start, count, console, renew)


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


def _telling(
    costs: Mapping[str, float], start: float, count: int, console: Console, renew: Renew
) -> Told:
    began = time.perf_counter()
    shares: dict[str, float] = {}

    def told(news: News) -> None:
        if news.key not in costs:
            return
        shares[news.key] = news.share
        training = max(time.perf_counter() - began - start, 0.0)
        left = seconds_left(costs, shares, training, count)
        done = f"{news.done} of {news.total} runs"
        if left is not None and news.done < news.total:
            done += f", about {duration(left)} left"
        if news.outcome is not None:
            print_line(f"{done}: {_end_of(news.outcome)}", console)
        under_way = [share for share in shares.values() if share < 1]
        renew(done + (f": {_shares(under_way)}" if under_way else ""))

    return told


def seconds_left(
    costs: Mapping[str, float], shares: Mapping[str, float], seconds: float, count: int
) -> float | None:
    """What is left of runs that each cost so much, `count` at a time, when in `seconds` these
    `shares` of them were made; None where nothing was. At least what the longest of them needs."""
    made = sum(costs[key] * share for key, share in shares.items())
    if made <= 0:
        return None
    pace = seconds / made
    rest = {key: cost * (1 - shares.get(key, 0.0)) for key, cost in costs.items()}
    # One run alone is made by one of the workers, at its part of the pace of all.
    return pace * max(sum(rest.values()), max(rest.values()) * count)


def _shares(under_way: Sequence[float]) -> str:
    return ", ".join(f"{share:.0%}" for share in under_way) + " made of those under way"


def _end_of(outcome: Outcome) -> str:
    if outcome.diverged_at is not None:
        return f"diverged at step {outcome.diverged_at}"
    return f"validation loss {outcome.validation_loss:.3f}"


@contextmanager
def line_on(console: Console) -> Iterator[Renew]:
    """A line that is renewed in place until the end; where that cannot be, told once a minute."""
    if console.is_jupyter:
        cell = shown_in_cell("<p></p>")
        yield lambda line: renew_cell(cell, f"<p>{escape(line)}</p>")
    elif console.is_terminal and not console.is_dumb_terminal:
        with Live(console=console, auto_refresh=False, transient=True) as live:
            yield lambda line: live.update(_one_line(line), refresh=True)
    else:
        said = time.monotonic()

        def seldom(line: str) -> None:
            nonlocal said
            if (now := time.monotonic()) - said >= SECONDS_BETWEEN_LINES:
                said = now
                print_line(line, console)

        yield seldom


def _one_line(text: str) -> Text:
    return Text(text, style="dim", no_wrap=True, overflow="ellipsis")


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


@contextmanager
def trials_shown(console: Console | None) -> Iterator[Callable[[Heard | UnderWay], None]]:
    """Who is to be told of the trials of a search: each that has ended is a line, and how far the
    others are is renewed in place."""
    if console is None:
        yield lambda one: None
        return
    with line_on(console) as renew:

        def heard(one: Heard | UnderWay) -> None:
            if isinstance(one, Heard):
                print_line(_trial_line(one), console)
            else:
                renew(_under_way_line(one))

        yield heard


def _under_way_line(one: UnderWay) -> str:
    best = "" if one.best is None else f"; best {one.best:.3f}"
    left = f"about {duration(one.seconds_left)} left" if one.seconds_left else NO_TIME
    return f"{counted(one.done, 'trial')}, {left}: {_shares(one.shares)}{best}"


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
