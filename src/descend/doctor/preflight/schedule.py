"""What a learning rate schedule says of itself, and who steps it."""

from __future__ import annotations

import ast
import contextlib
import inspect
from itertools import islice
from pathlib import Path
from typing import Any

from descend.doctor.preflight.calls import call
from descend.doctor.preflight.findings import CannotTell
from descend.doctor.preflight.program import Program
from descend.doctor.preflight.supply import is_batch


def horizon(scheduler: Any) -> int | None:
    """Steps after which a torch schedule has run its course, where it says so."""
    parts = getattr(scheduler, "_schedulers", None)
    if parts:
        milestones = list(getattr(scheduler, "_milestones", []))
        last = horizon(parts[-1])
        return None if last is None else last + (milestones[-1] if milestones else 0)
    for name in ("T_max", "total_steps", "total_iters"):
        value = getattr(scheduler, name, None)
        if isinstance(value, int):
            return value
    return None


def stepped_elsewhere(program: Program) -> bool:
    """Whether the source steps a schedule outside of `step`: a last resort, since the loop that
    does so (under `if __name__ == "__main__"`, or in a function) is not run."""
    if program.file is None:
        return False
    try:
        tree = ast.parse(Path(program.file).read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return False
    own: set[int] = set()
    with contextlib.suppress(TypeError, OSError, KeyError):
        lines, first = inspect.getsourcelines(program.parts["step"])
        own = set(range(first, first + len(lines)))
    return any(
        isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        and node.func.attr == "step" and node.lineno not in own
        and "sched" in ast.unparse(node.func.value).lower()
        for node in ast.walk(tree)
    )  # fmt: skip


def epochs_of(program: Program) -> int | None:
    """How many epochs the program says that it trains: a number of that name, or the range of the
    loop in its source around the schedule's step."""
    for name, value in program.namespace.items():
        if "epoch" in name.lower() and isinstance(value, int) and value > 0:
            return value
    if program.file is None:
        return None
    try:
        tree = ast.parse(Path(program.file).read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return None
    for loop in (n for n in ast.walk(tree) if isinstance(n, ast.For)):
        head = ast.unparse(loop.iter)
        counted = isinstance(loop.iter, ast.Call) and head.startswith("range(")
        if counted and "epoch" in ast.unparse(loop.target).lower():
            last = loop.iter.args[-1] if isinstance(loop.iter, ast.Call) else None
            if isinstance(last, ast.Constant) and isinstance(last.value, int):
                return last.value
    return None


LONGEST_EPOCH = 5_000
"""Batches that are counted; a longer epoch counts as unknown."""


def batches_an_epoch(program: Program) -> int | None:
    """Batches until they end; None if they do not within `LONGEST_EPOCH`, or cannot be counted."""
    held = program.part("batches")
    if hasattr(held, "__len__"):
        return len(held)
    try:
        value = call(program, "batches") if callable(held) else None
    except CannotTell:
        return None
    if value is None or is_batch(value) or not hasattr(value, "__iter__"):
        return None
    count = sum(1 for _ in islice(value, LONGEST_EPOCH))
    return count if count < LONGEST_EPOCH else None
