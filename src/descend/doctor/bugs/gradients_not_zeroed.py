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

How to mend:
    `optimizer.zero_grad()` after each `optimizer.step()`, or before `backward()`.

When it is not this:
    A share of the old gradient is kept on purpose, as momentum by hand.

Source:
    Karpathy, the most common neural net mistakes (2018), number 3.
"""

from __future__ import annotations

from descend.doctor.preflight.findings import Bug, CouldNotCheck, Found, NotFound, Outcome, name_of
from descend.doctor.preflight.program import Program
from descend.doctor.preflight.rehearsal import rehearse

KEPT = 0.5
"""Share of the old gradient that counts as forgotten: 1 if nothing was zeroed, 0 if all was."""


def look(program: Program) -> Outcome:
    """Compare what optimizers are given with what arrived since their last step."""
    if not program.has("step") and program.lived.old:  # the loop of a plain script
        old, where = program.lived.old, program.where_it_trained()
    else:
        old = [u.old for u in program.once(rehearse).updates if u.old is not None]
        where = program.where("step")
    if not old:
        return CouldNotCheck("no two steps of an optimizer whose gradients could be told apart")
    middle = sorted(old)[len(old) // 2]
    if middle < KEPT:
        return NotFound(f"{len(old)} steps hold {abs(middle):.0%} of the gradient before")
    return Found(
        f"in {sum(x >= KEPT for x in old)} of {len(old)} steps the gradients of the one before are "
        f"still there ({middle:.0%} of them)",
        where,
    )


BUG = Bug(name_of(__name__), look, "call `optimizer.zero_grad()` once for every `optimizer.step()`")
