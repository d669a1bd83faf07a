"""The optimizer never steps.

What it is:
    No weight moves, or none that one of several optimizers holds: `optimizer.step()` or
    `backward()` is missing, gradients are cleared before the step, or the loss is cut off from the
    weights, as by `.item()`, `.detach()`, and `no_grad()`.

How it shows:
    The loss stays where it was, but for the difference between batches.

Not to be confused:
    A learning rate of zero: the optimizer steps, and its schedule is at fault. Accumulation over
    many calls: it steps in the end.

Proof:
    All weights are compared before and after a number of calls of `step`, and each gradient that
    comes to a weight is counted.

How to fix:
    zero_grad, backward, step: in this order, each once, from a loss made of the network's output.

When it is not this:
    Less than one whole accumulation of gradients was run.

Source:
    TrainCheck (OSDI 2025): silent errors of missing updates.
"""

from __future__ import annotations

from descend.program_check.bug import Bug, name_of
from descend.program_check.bug_report import CONNECT_LOSS
from descend.program_check.probes.dry_run import (
    DryRun,
    dry_run,
    run_steps,
    where_gradients_are_cleared,
)
from descend.program_check.probes.idle_optimizers import (
    ENOUGH,
    LONG,
    idle_optimizers,
    unless_idle,
)
from descend.program_check.program import Program
from descend.program_check.results import BugAbsent, BugPresent, CheckResult, Undetermined
from descend.program_check.source_lines import assignment_line
from descend.units import list_names

MIN_UPDATES = 3
"""Steps without any gradient that count as always: the first may come before `backward()`."""


def run_long_dry_run(program: Program) -> DryRun:
    """Return the same with more calls."""
    return run_steps(program, LONG)


def look(program: Program) -> CheckResult:
    """Compare all weights before and after."""
    dry_run_result = program.run_probe_once(dry_run)
    first = dry_run_result
    is_idle = not (first.changed_weights or first.updates or first.problem)
    if is_idle or (_steps_without_gradient(first) and len(first.updates) < MIN_UPDATES):
        dry_run_result = program.run_probe_once(run_long_dry_run)
    if dry_run_result.changed_weights:
        return _one_of_several(program) or unless_idle(program, BugAbsent(
            f"{len(dry_run_result.changed_weights)} weights moved in {dry_run_result.calls} calls"
            " of `step`"
        ))  # fmt: skip
    # A step before the first `backward()` has no gradients yet.
    fed = [u for u in dry_run_result.updates if u.cleared or u.num_backward]
    if fed and all(u.cleared for u in fed):
        return BugPresent(
            f"gradients arrived and were gone when the optimizer stepped ({len(fed)} times)",
            where_gradients_are_cleared(program, dry_run_result),
            "call `zero_grad()`, `backward()`, and `optimizer.step()` in this order",
        )
    if _steps_without_gradient(dry_run_result) and len(dry_run_result.updates) >= MIN_UPDATES:
        return _no_gradient(program, dry_run_result)
    if dry_run_result.updates:
        return BugAbsent(f"the optimizer stepped {len(dry_run_result.updates)} times")
    if dry_run_result.calls < ENOUGH:
        return Undetermined(f"only {dry_run_result.calls} calls of `step` could be made")
    came = (
        f"gradients came to {len(dry_run_result.weights_with_gradient)} weights"
        if dry_run_result.weights_with_gradient
        else "no gradient came"
    )
    return BugPresent(
        f"after {dry_run_result.calls} calls of `step` no weight has moved; {came}",
        program.source_location("step"),
    )


def _one_of_several(program: Program) -> BugPresent | None:
    """Return the first optimizer that never steps beside others that do; None if each may step."""
    for idle in program.run_probe_once(idle_optimizers):
        if idle.is_certain:
            return BugPresent(
                f"In {idle.calls} calls of `step`, `{idle.name}` made no step; no line steps it. "
                f"Of the weights that it holds, {len(idle.weights)} get a gradient and never move: "
                f"{list_names(idle.weights)}; the others stepped {idle.updates} times",
                program.where_is_line(assignment_line(program.file, (idle.name,))),
                f"call `{idle.name}.step()` after the `backward()` of its loss",
            )
    return None


def _steps_without_gradient(dry_run_result: DryRun) -> bool:
    """Return whether the optimizer stepped, and no gradient came to any weight before."""
    updates = dry_run_result.updates
    is_without = not dry_run_result.weights_with_gradient and not dry_run_result.changed_weights
    return bool(updates) and is_without and not any(u.has_gradients for u in updates)


def _no_gradient(program: Program, dry_run_result: DryRun) -> BugPresent:
    """Return that no gradient arrives, with what keeps it from the weights."""
    steps = f"the optimizer stepped {len(dry_run_result.updates)} times and"
    if not dry_run_result.backward_calls:
        return BugPresent(
            f"{steps} `backward()` was never called, so that no weight has a gradient",
            program.source_location("step"), "call `loss.backward()` before `optimizer.step()`",
        )  # fmt: skip
    return BugPresent(
        f"{steps} no gradient came to any weight: what `backward()` starts from does not lead back "
        "to the network",
        program.source_location("step"),
        CONNECT_LOSS,
    )


BUG = Bug(name_of(__name__), look, "call `optimizer.step()` after `loss.backward()`")
