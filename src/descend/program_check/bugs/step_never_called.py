"""The optimizer never steps.

What it is:
    Gradients are computed and no weight moves: `optimizer.step()` is missing, gradients are cleared
    before it, or the loss is cut off from the weights.

How it shows:
    The loss stays where it was, but for the difference between batches.

Not to be confused:
    A learning rate of zero: the optimizer steps, and its schedule is at fault. Accumulation over
    many calls: it steps in the end.

Proof:
    All weights are compared before and after a number of calls of `step`.

How to fix:
    zero_grad, backward, step: in this order, each once.

When it is not this:
    Less than one whole accumulation of gradients was run.

Source:
    TrainCheck (OSDI 2025): silent errors of missing updates.
"""

from __future__ import annotations

from descend.program_check.bug import Bug, name_of
from descend.program_check.probes.dry_run import (
    DryRun,
    dry_run,
    run_steps,
    where_gradients_are_cleared,
)
from descend.program_check.program import Program
from descend.program_check.results import BugAbsent, BugPresent, CheckResult, Undetermined

LONG = 80
"""Calls after which even a long accumulation has stepped."""

ENOUGH = 65
"""Calls without a step that count as never: accumulations over more than 64 calls are rare."""


def run_long_dry_run(program: Program) -> DryRun:
    """Return the same with more calls."""
    return run_steps(program, LONG)


def look(program: Program) -> CheckResult:
    """Compare all weights before and after."""
    dry_run_result = program.run_probe_once(dry_run)
    if (
        not dry_run_result.changed_weights
        and not dry_run_result.updates
        and not dry_run_result.problem
    ):
        dry_run_result = program.run_probe_once(run_long_dry_run)
    if dry_run_result.changed_weights:
        return BugAbsent(
            f"{len(dry_run_result.changed_weights)} weights moved in {dry_run_result.calls} calls"
            " of `step`"
        )
    # A step before the first `backward()` has no gradients yet.
    fed = [u for u in dry_run_result.updates if u.cleared or u.num_backward]
    if fed and all(u.cleared for u in fed):
        return BugPresent(
            f"gradients arrived and were gone when the optimizer stepped ({len(fed)} times)",
            where_gradients_are_cleared(program, dry_run_result),
            "call `zero_grad()`, `backward()`, and `optimizer.step()` in this order",
        )
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


BUG = Bug(name_of(__name__), look, "call `optimizer.step()` after `loss.backward()`")
