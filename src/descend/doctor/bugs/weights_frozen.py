"""Weights are frozen.

What it is:
    Weights that the result depends on cannot learn: `requires_grad` is off, or a `detach()`,
    `no_grad()` or `.data` in the forward cuts them off.

How it shows:
    The loss stops high, since a part of the network stays random.

Not to be confused:
    Weights that learn but stand in no optimizer. Weights that start at zero and whose gradient is
    zero in the first steps.

Proof:
    The weights stay as they were over several steps and no gradient comes to them; yet the logits
    move when they are shaken. Counted are matrices that look as they were drawn, since what was
    trained before may be frozen on purpose.

How to mend:
    `requires_grad_(True)` before the optimizer is made; no `detach()` in the forward.

When it is not this:
    Fixed tables (sinusoids), networks tuned by adapters, trained parts that are kept.

Source:
    TrainCheck (OSDI 2025); edge of the spectrum of random matrices: Marchenko and Pastur 1967.
"""

from __future__ import annotations

import re

from descend.doctor.preflight.doubt import CannotTell
from descend.doctor.preflight.findings import Bug, Found, NotFound, Outcome, name_of
from descend.doctor.preflight.program import Program
from descend.doctor.preflight.weights import looks_random, rehearsal_of, unreached, used

ADAPTERS = re.compile(r"lora|adapter|prefix|prompt|soft_?embed|ia3", re.IGNORECASE)
"""Names of what is trained where the rest is frozen on purpose."""


def look(program: Program) -> Outcome:
    """Find random matrices that count and cannot learn."""
    named = dict(program.model.named_parameters())
    trainable = [n for n, p in named.items() if p.requires_grad]
    if any(ADAPTERS.search(n) for n in trainable):
        return NotFound("adapters are trained, the rest is kept on purpose")
    still = {n for n, p in named.items() if not p.requires_grad}
    seen = rehearsal_of(program)
    if seen is not None:
        still = {n for n in named if n not in seen.moved and (n in still or n not in seen.arrived)}
        if not seen.arrived:
            still = {n for n in still if not named[n].requires_grad}
    try:
        still |= set(program.once(unreached)) - (seen.moved if seen else set())
    except CannotTell:
        if seen is None and not still:
            raise
    frozen = used(program, [n for n in named if n in still and looks_random(named[n])])
    if not frozen:
        return NotFound(f"{len(trainable)} of {len(named)} weights can learn")
    off = sum(not named[n].requires_grad for n in frozen)
    why = "`requires_grad` is off" if off == len(frozen) else "no gradient comes to them"
    return Found(
        f"{len(frozen)} random matrices count and cannot learn ({why}): {', '.join(frozen[:4])}",
        f"model.{frozen[0]}",
    )


BUG = Bug(
    name_of(__name__), look,
    "turn `requires_grad` on for them, and take `detach()` and `no_grad()` out of the forward",
)  # fmt: skip
