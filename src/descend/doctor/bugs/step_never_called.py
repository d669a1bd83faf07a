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

How to mend:
    zero_grad, backward, step: in this order, each once.

When it is not this:
    Less than one whole accumulation was rehearsed.

Source:
    TrainCheck (OSDI 2025): silent errors of missing updates.
"""

from __future__ import annotations

from descend.doctor.preflight.findings import Bug, Undetermined, BugFound, BugAbsent, CheckResult, name_of
from descend.doctor.preflight.program import Program
from descend.doctor.preflight.rehearsal import DryRun, dry_run, run_steps

LONG = 80
"""Calls after which even a long accumulation has stepped."""

ENOUGH = 65
"""Calls without a step that count as never: accumulations over more than 64 calls are rare."""


def long_rehearsal(program: Program) -> DryRun:
    """The same with more calls."""
    return run_steps(program, LONG)


def look(program: Program) -> CheckResult:
    """Compare all weights before and after."""
    seen = program.run_probe_once(dry_run)
    if not seen.changed_weights and not seen.updates and not seen.problem:
        seen = program.run_probe_once(long_rehearsal)
    if seen.changed_weights:
        return BugAbsent(f"{len(seen.changed_weights)} weights moved in {seen.calls} calls of `step`")
    if seen.updates and all(u.cleared for u in seen.updates):
        return BugFound(
            f"gradients arrived and were gone when the optimizer stepped "
            f"({len(seen.updates)} times)",
            program.source_location("step"),
            "clear gradients before `backward()` or after `optimizer.step()`, not between them",
        )
    if seen.updates:
        return BugAbsent(f"the optimizer stepped {len(seen.updates)} times")
    if seen.calls < ENOUGH:
        return Undetermined(f"only {seen.calls} calls of `step` could be made")
    came = f"gradients came to {len(seen.weights_with_gradient)} weights" if seen.weights_with_gradient else "no gradient came"
    return BugFound(f"after {seen.calls} calls of `step` no weight has moved; {came}",
                 program.source_location("step"))  # fmt: skip


BUG = Bug(name_of(__name__), look, "call `optimizer.step()` after `loss.backward()`")
