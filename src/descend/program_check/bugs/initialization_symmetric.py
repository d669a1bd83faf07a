"""Weights start equal.

What it is:
    All units of a layer start with the same weights, so they get the same gradient and stay the
    same for ever: a layer of a thousand units does the work of one. Or two matrices in a row are
    zero and block each other.

How it shows:
    The loss stops near what counting single tokens gives, whatever the width.

Not to be confused:
    One matrix of zeros at the end of a block or in the head: its gradient is not zero.

Proof:
    The rows of each matrix are compared before the first step; matrices of zeros are looked at
    again after some steps.

How to fix:
    Draw weights at random (torch does so by itself).

When it is not this:
    Gains that start at 1, biases at 0.

Source:
    Goodfellow, Bengio and Courville 2016, section 8.4: breaking symmetry.
"""

from __future__ import annotations

from torch import nn

from descend.program_check.bug import Bug, name_of
from descend.program_check.probes.network import vocabulary_of
from descend.program_check.probes.weight_usage import try_dry_run
from descend.program_check.program import Program
from descend.program_check.results import BugAbsent, BugPresent, CheckResult
from descend.units import list_names

MIN_DIMENSION = 4
"""Rows and columns from which equal rows are no chance."""

MIN_STEPS = 3


def look(program: Program) -> CheckResult:
    """Compare rows."""
    model = program.model
    matrices = {
        n: p for n, p in model.named_parameters()
        if p.ndim == 2 and min(p.shape) >= MIN_DIMENSION and p.requires_grad
    }  # fmt: skip
    linear = {id(m.weight) for m in model.modules() if isinstance(m, nn.Linear)}
    tables = [m.weight for m in model.modules() if isinstance(m, nn.Embedding)]
    tokens = {id(t) for t in tables if t.shape[0] == vocabulary_of(model)}
    equal = [
        n for n, p in matrices.items()
        if p.any() and (p == p[:1]).all() and id(p) not in {id(t) for t in tables} - tokens
        and (id(p) in linear | tokens or (p == p.flatten()[0]).all())
    ]  # fmt: skip
    if equal:
        return BugPresent(
            f"in {len(equal)} of {len(matrices)} matrices all rows are equal: {list_names(equal)}",
            f"model.{equal[0]}",
        )
    zeros = [n for n, p in matrices.items() if not bool(p.any())]
    dry_run_result = try_dry_run(program) if len(zeros) > 1 else None
    if (
        dry_run_result is not None
        and len(dry_run_result.updates) >= MIN_STEPS
        and dry_run_result.changed_weights
    ):
        dead = [
            n
            for n in zeros
            if n in dry_run_result.weights_with_gradient and n not in dry_run_result.changed_weights
        ]
        if len(dead) > 1:
            return BugPresent(
                f"{len(dead)} matrices start at zero and are still zero after"
                f" {len(dry_run_result.updates)} steps: {list_names(dead)}",
                f"model.{dead[0]}",
            )
    return BugAbsent(f"{len(matrices)} matrices have rows that differ")


BUG = Bug(name_of(__name__), look, "draw the weights at random")
