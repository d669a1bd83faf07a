"""The schedule is stepped wrongly.

What it is:
    The learning rate does not follow the schedule that was written down: it is stepped once an
    epoch though it counts steps, twice a step, once a micro-batch, never, or on behalf of another
    optimizer.

How it shows:
    Warmup that never ends or is over at once; a rate of zero long before the end, or one that
    never falls.

Not to be confused:
    A schedule that is right but badly chosen.

Proof:
    The schedule's own count before and after each step of the optimizer, the rates that the
    optimizer really used, and those that the schedule gives for the rest of the run.

How to fix:
    `scheduler.step()` exactly once after each `optimizer.step()`, with a length counted in steps;
    or once an epoch, with a length (such as `step_size`) counted in epochs.

When it is not this:
    A schedule counted in epochs, stepped after each epoch; one that waits for a plateau.

Source:
    torch.optim documentation, "How to adjust learning rate"; TrainCheck (OSDI 2025).
"""

from __future__ import annotations

from torch.optim.lr_scheduler import LRScheduler

from descend.program_check.bug import Bug, name_of
from descend.program_check.probes.dry_run import DryRun, dry_run
from descend.program_check.probes.idle_optimizers import why_not_stepped
from descend.program_check.probes.lr_scheduler_usage import (
    batches_an_epoch,
    find_scheduler_steps,
    schedule_length,
    simulate_rates,
)
from descend.program_check.program import Program
from descend.program_check.results import BugAbsent, BugPresent, CheckResult, Undetermined

MIN_STEPS = 3
"""Steps of the optimizer below which nothing can be said of a rate."""

MIN_CYCLES = 2
"""Times that a schedule as long as the epochs would run its course in the run."""

VANISHED = 1e-3
"""Fraction of its peak from which a rate is next to zero."""

MIN_USEFUL_FRACTION = 0.25
"""Of a run: a schedule that is next to zero before that, to the end, counts something else."""

MIN_RUN = 20
"""Steps of a run below which its schedule may be anything."""

COUNT_IN_STEPS = "step the schedule once an epoch, or give it its lengths in steps"

FAR_TOO_LONG = 3
"""Length of a schedule over the number of epochs from which it was counted in steps."""


def look(program: Program) -> CheckResult:
    """Compare the counts of schedules with the steps of optimizers."""
    dry_run_result = program.run_probe_once(dry_run)
    if len(dry_run_result.updates) < MIN_STEPS:
        return Undetermined(
            f"only {len(dry_run_result.updates)} steps of an optimizer could be watched"
        )
    where = _where(program)
    if all(rate == 0 for u in dry_run_result.updates for rate in u.rates):
        return BugPresent(
            f"the learning rate was 0 in all of {len(dry_run_result.updates)} steps", where
        )
    stepped = {id(u.optimizer) for u in dry_run_result.updates}
    open_reasons = []
    for index, scheduler in enumerate(dry_run_result.schedulers):
        reason = "" if id(scheduler.optimizer) in stepped else (
            why_not_stepped(program, scheduler.optimizer)
        )  # fmt: skip
        if reason:
            open_reasons.append(reason)
            continue
        evidence = _wrong(program, dry_run_result, index)
        if evidence:
            return BugPresent(evidence, where)
        evidence = _counted_in_epochs(program, dry_run_result, index)
        if evidence:
            return BugPresent(evidence, where, COUNT_IN_STEPS)
    if not dry_run_result.schedulers:
        return Undetermined("there is no torch schedule", applies=False)
    if open_reasons:
        return Undetermined(open_reasons[0])
    return BugAbsent(
        f"stepped {dry_run_result.schedules[-1][0] - dry_run_result.schedules[0][0]} times in "
        f"{len(dry_run_result.updates)} steps of the optimizer"
    )


def _where(program: Program) -> str:
    """Return the first line that steps a schedule; without one, where the schedule is made."""
    steps = find_scheduler_steps(program)
    if steps and steps[0].line:
        return program.where_is_line(steps[0].line)
    return program.source_location("scheduler" if program.has("scheduler") else "step")


def _wrong(program: Program, dry_run_result: DryRun, index: int) -> str:
    scheduler = dry_run_result.schedulers[index]
    updates = [u for u in dry_run_result.updates if u.optimizer is scheduler.optimizer]
    steps = dry_run_result.schedules[-1][index] - dry_run_result.schedules[0][index]
    if not updates:
        return (
            f"the schedule drives an optimizer that never stepped in {dry_run_result.calls} calls"
            " of `step`"
        )
    if steps == 0:
        return _never(program, index, len(updates))
    ratio = steps / len(updates)
    if ratio > 1.5:
        return f"the schedule was stepped {steps} times in {len(updates)} steps of the optimizer"
    before = [u.schedules[index] - dry_run_result.schedules[0][index] for u in updates]
    if ratio > 0.5 and all(count == number + 1 for number, count in enumerate(before)):
        return "the schedule is stepped before the optimizer, so its first rate is never used"
    return ""


def _counted_in_epochs(program: Program, dry_run_result: DryRun, index: int) -> str:
    """Return what is wrong with a schedule that `step` steps though its length is one of epochs; ""
    if it is not such a one."""
    scheduler = dry_run_result.schedulers[index]
    steps = dry_run_result.schedules[-1][index] - dry_run_result.schedules[0][index]
    length = "" if 2 * steps <= len(dry_run_result.updates) else _as_long_as_epochs(
        program, scheduler
    )  # fmt: skip
    return length or _falls_early(program, scheduler, steps / dry_run_result.calls)


def _falls_early(program: Program, scheduler: LRScheduler, steps_per_run: float) -> str:
    """Return what is wrong with a schedule whose rate is next to zero for most of the run."""
    num_body_runs = program.parts.get("num_body_runs")
    if not isinstance(num_body_runs, int):
        return ""
    total = int(num_body_runs * steps_per_run)
    rates = simulate_rates(scheduler, total) if total >= MIN_RUN else []
    num_useful = max((n for n, rate in enumerate(rates, 1) if rate > VANISHED), default=0)
    if not rates or num_useful >= MIN_USEFUL_FRACTION * len(rates):
        return ""
    return (
        f"the schedule is stepped {total:,} times in the run, and after {num_useful:,} of them the "
        "learning rate stays below a thousandth of its peak"
    )


def _as_long_as_epochs(program: Program, scheduler: LRScheduler) -> str:
    """Return what is wrong with a schedule as long as there are epochs that follows steps; "" if it
    is not such a one."""
    epochs, length = program.parts.get("num_epochs"), schedule_length(scheduler)
    if not isinstance(epochs, int) or length is None or length != epochs or length < MIN_STEPS:
        return ""
    an_epoch = batches_an_epoch(program) if program.has("batches") else None
    if an_epoch is None or an_epoch < MIN_CYCLES:
        return ""
    return (
        f"the schedule is {length} steps long, as there are epochs, and is stepped in each of "
        f"{an_epoch} batches of an epoch"
    )


def _too_long_for_epochs(program: Program, length: int | None) -> str:
    """Return what is wrong with a schedule that a framework steps after each epoch."""
    epochs = program.parts.get("num_epochs")
    an_epoch = batches_an_epoch(program) if program.has("batches") else None
    if not isinstance(epochs, int) or length is None or an_epoch is None:
        return ""
    if length >= FAR_TOO_LONG * epochs and length >= an_epoch > 1:
        return (
            f"the schedule is {length} steps long, and is stepped once in each of {epochs} epochs"
        )
    return ""


def _never(program: Program, index: int, updates: int) -> str:
    """Return what is wrong with a schedule that `step` does not step; "" if it is stepped by
    epochs."""
    scheduler_steps = find_scheduler_steps(program)
    if scheduler_steps == () and not program.has("after_epoch"):
        return f"the schedule was never stepped in {updates} steps of the optimizer, nor elsewhere"
    length = schedule_length(program.run_probe_once(dry_run).schedulers[index])
    if not scheduler_steps and program.has("after_epoch"):
        return _too_long_for_epochs(program, length)
    if not scheduler_steps or length is None or not all(p.by_epoch for p in scheduler_steps):
        return ""
    epochs = next((p.times for p in scheduler_steps if p.times), None)
    if epochs and length >= FAR_TOO_LONG * epochs:
        return (
            f"the schedule is {length} steps long, and is stepped once in each of {epochs} epochs"
        )
    if not epochs and program.has("batches"):
        an_epoch = batches_an_epoch(program) or 0
        total = program.get("total_steps") if program.has("total_steps") else None
        if isinstance(total, int) and 1 < an_epoch < total and 0.9 * total <= length:
            return f"the schedule is {length} steps long, as the run is, and is stepped by epochs"
    return ""


BUG = Bug(
    name_of(__name__),
    look,
    "call `scheduler.step()` exactly once after each `optimizer.step()`",
)
