"""Gradients are not zeroed.

What it is:
    `zero_grad()` is forgotten, so each step follows the sum of all gradients so far.

How it shows:
    The gradient norm grows about linearly, the loss falls at first and then swings or explodes.

Not to be confused:
    Gradient accumulation adds gradients on purpose, between one step of the optimizer and the
    next.

Proof:
    Gradients are added up as they arrive. What the optimizer is given, less that sum, must not hold
    what it was given the time before.

How to fix:
    `optimizer.zero_grad()` after each `optimizer.step()`, or before `backward()`.

When it is not this:
    A fraction of the old gradient is kept on purpose, as momentum by hand.

Source:
    Karpathy, the most common neural net mistakes (2018), number 3.
"""

from __future__ import annotations

from descend.program_check.bug import Bug, name_of
from descend.program_check.probes.dry_run import dry_run
from descend.program_check.probes.idle_optimizers import unless_idle
from descend.program_check.program import Program
from descend.program_check.results import BugAbsent, BugPresent, CheckResult, Undetermined

MIN_STALE_FRACTION = 0.5
"""Fraction of the old gradient that counts as forgotten: 1 if nothing was zeroed, 0 if all was."""


def look(program: Program) -> CheckResult:
    """Compare what optimizers are given with what arrived since their last step."""
    if (
        not program.has("step") and program.import_time_training.stale_gradient_fractions
    ):  # the loop of a plain script
        old, where = (
            program.import_time_training.stale_gradient_fractions,
            program.where_is_line(program.import_time_training.line),
        )
    else:
        old = [
            u.stale_gradient_fraction
            for u in program.run_probe_once(dry_run).updates
            if u.stale_gradient_fraction is not None
        ]
        where = program.source_location("step")
    if not old:
        return Undetermined("no two steps of an optimizer whose gradients could be distinguished")
    middle = sorted(old)[len(old) // 2]
    if middle < MIN_STALE_FRACTION:
        return unless_idle(
            program, BugAbsent(f"{len(old)} steps hold {abs(middle):.0%} of the gradient before")
        )
    return BugPresent(
        f"in {sum(x >= MIN_STALE_FRACTION for x in old)} of {len(old)} steps the gradients still"
        f" hold those of the previous step ({middle:.0%} of them)",
        where,
    )


BUG = Bug(name_of(__name__), look, "call `optimizer.zero_grad()` once for every `optimizer.step()`")
