"""Progress of a series of runs: what they will cost, how far they are, how long they take yet."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape

from rich.console import Console
from rich.live import Live
from rich.text import Text

from descend.experiments.search.search_loop import TrialEnded, TrialsRunning
from descend.experiments.search.search_plan import SearchPlan
from descend.experiments.search.search_trials import MIN_TRIALS
from descend.machine import contention_factor
from descend.report.notebook_cell import display_cell, update_cell
from descend.report.text.experiment_summary import format_value
from descend.report.text.live_progress import print_line
from descend.trials.cached_trial import load_cached_result
from descend.trials.cost_estimate import estimate_trial_seconds
from descend.trials.executor import TrialCallback, TrialProgress, ignore_progress, worker_count
from descend.trials.ray_executor import ray_address
from descend.trials.timing.startup import worker_startup_seconds
from descend.trials.trial_spec import TrialResult, TrialSpec
from descend.units import format_count, format_duration

Renew = Callable[[str], None]

SECONDS_BETWEEN_LINES = 60.0
"""Where no line can be renewed in place: a run that takes hours leaves some hundred lines."""

CONTENTION_WARNING_FACTOR = 1.2
"""Times as long as alone from which it is reported."""

PREPARING = "Preparing the text and timing a few steps…"

INTERRUPT_HINT = "Ctrl-C stops. The same command continues from the finished trials."

NO_TIME = "no time left for another trial"
"""Beside what confirms the best one, at the pace of the trials so far."""


@contextmanager
def show_trials(
    specs: Sequence[TrialSpec], workers: int | None, console: Console | None
) -> Iterator[TrialCallback]:
    """Say what `specs` will cost; gives the callback for them: each that is done is a line, and
    how far the others are is renewed in place. Without a console nothing is said."""
    if console is None:
        yield ignore_progress
        return
    distinct = {spec.key: spec for spec in specs}
    # Before anything is timed: a cluster that cannot be had ends it here.
    count = worker_count(
        [a for key, a in distinct.items() if load_cached_result(key) is None], workers
    )
    print_line(PREPARING, console)
    costs = estimate_trial_seconds(specs)
    start = worker_startup_seconds() if count > 1 and not ray_address() else 0.0
    print_line(_cost_line(len(distinct), costs, count, start), console)
    with line_on(console) as renew:
        yield _telling(costs, start, count, console, renew)


def _cost_line(total: int, costs: Mapping[str, float], count: int, start: float) -> str:
    """Return what runs that each take `costs` alone will take together."""
    address = ray_address()
    crowd = 1.0 if address else contention_factor(count)
    seconds = start + crowd * max(max(costs.values(), default=0.0), sum(costs.values()) / count)
    known = total - len(costs)
    return (
        f"{total} runs"
        + (f", {known} already finished" if known else "")
        + f": about {format_duration(seconds)}, {count} at a time{contention_text(crowd)}"
        + (
            f" on the cluster {address} (if its machines are as fast as this one)"
            if address
            else ""
        )
        + f". {INTERRUPT_HINT}"
    )


def _telling(
    costs: Mapping[str, float], start: float, count: int, console: Console, renew: Renew
) -> TrialCallback:
    began = time.perf_counter()
    fractions: dict[str, float] = {}

    def on_progress(trial_progress: TrialProgress) -> None:
        if trial_progress.key not in costs:
            return
        fractions[trial_progress.key] = trial_progress.fraction_done
        training = max(time.perf_counter() - began - start, 0.0)
        remaining_seconds = estimate_remaining_seconds(costs, fractions, training, count)
        done = f"{trial_progress.done} of {trial_progress.total} runs"
        if remaining_seconds is not None and trial_progress.done < trial_progress.total:
            done += f", about {format_duration(remaining_seconds)} left"
        if trial_progress.result is not None:
            print_line(f"{done}: {_end_of(trial_progress.result)}", console)
        running_fractions = [fraction for fraction in fractions.values() if fraction < 1]
        renew(done + (f": {_format_fractions(running_fractions)}" if running_fractions else ""))

    return on_progress


def estimate_remaining_seconds(
    costs: Mapping[str, float], fractions: Mapping[str, float], seconds: float, count: int
) -> float | None:
    """Return what is left of runs that each cost so much, `count` at a time, when in `seconds`
    these `fractions` of them were made; None where nothing was. At least what the longest of them
    needs."""
    made = sum(costs[key] * fraction for key, fraction in fractions.items())
    if made <= 0:
        return None
    pace = seconds / made
    rest = {key: cost * (1 - fractions.get(key, 0.0)) for key, cost in costs.items()}
    # One run alone is made by one of the workers, at its part of the pace of all.
    return pace * max(sum(rest.values()), max(rest.values()) * count)


def _format_fractions(running_fractions: Sequence[float]) -> str:
    return (
        ", ".join(f"{fraction:.0%}" for fraction in running_fractions) + " of the running ones done"
    )


def _end_of(result: TrialResult) -> str:
    if result.diverged_step is not None:
        return f"diverged at step {result.diverged_step}"
    return f"validation loss {result.validation_loss:.3f}"


@contextmanager
def line_on(console: Console) -> Iterator[Renew]:
    """Provide a line that is renewed in place until the end; where that cannot be, printed once a
    minute."""
    if console.is_jupyter:
        cell = display_cell("<p></p>")
        yield lambda line: update_cell(cell, f"<p>{escape(line)}</p>")
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


def contention_text(crowd: float) -> str:
    """Return that other programs are at work, where they make it `crowd` times as long."""
    return (
        f" (slowed by a factor of {crowd:.1f} by other programs)"
        if crowd > CONTENTION_WARNING_FACTOR
        else ""
    )


def print_search_cost(plan: SearchPlan, console: Console | None) -> None:
    """Say what a search will cost."""
    if console is None:
        return
    crowd = contention_factor(plan.workers)
    searching = max(0.0, plan.for_runs - plan.confirmation_seconds * crowd)
    trials = max(float(MIN_TRIALS), searching * plan.workers / (plan.trial_seconds * crowd))
    print_line("searching " + "; ".join(span.description for span in plan.space), console)
    print_line(
        f"about {format_duration(plan.seconds)} in total: at least {trials:.0f} trials of"
        f" {format_duration(plan.training_seconds)} of training, {plan.workers} at a"
        f" time{contention_text(crowd)}, then base and best {plan.terms.seeds} times each with"
        f" new seeds ({format_duration(plan.confirmation_seconds)}). Output: {plan.file.parent}."
        f" {INTERRUPT_HINT}",
        console,
    )


@contextmanager
def show_search_trials(
    console: Console | None,
) -> Iterator[Callable[[TrialEnded | TrialsRunning], None]]:
    """Provide the callback for the trials of a search: each that has ended is a line, and how far
    the others are is renewed in place."""
    if console is None:
        yield lambda one: None
        return
    with line_on(console) as renew:

        def on_progress(one: TrialEnded | TrialsRunning) -> None:
            if isinstance(one, TrialEnded):
                print_line(_trial_line(one), console)
            else:
                renew(_running_line(one))

        yield on_progress


def _running_line(one: TrialsRunning) -> str:
    best = "" if one.best is None else f"; best {one.best:.3f}"
    remaining = (
        f"about {format_duration(one.remaining_seconds)} left" if one.remaining_seconds else NO_TIME
    )
    return (
        f"{format_count(one.done, 'trial')}, {remaining}:"
        f" {_format_fractions(one.fractions_done)}{best}"
    )


def _trial_line(trial: TrialEnded) -> str:
    values = ", ".join(f"{key} {format_value(value)}" for key, value in trial.values.items())
    if trial.failure_reason is not None:
        end = f"failed ({trial.failure_reason.rstrip('.')})"
    else:
        end = f"{trial.bits_per_byte:.3f} bits per byte" + (", pruned" if trial.stopped else "")
    best = "" if trial.best is None else f"; best {trial.best:.3f}"
    remaining = (
        f"about {format_duration(trial.remaining_seconds)} left"
        if trial.remaining_seconds
        else NO_TIME
    )
    return f"trial {trial.done}, {remaining}: {values}: {end}{best}"
