"""Whether the evaluation of a program ran while it was tried."""

from __future__ import annotations

import ast

from descend.program_check.evaluators import (
    called_names,
    functions_by_name,
    loop_bodies,
    sets_mode,
)
from descend.program_check.loop_source import Loop
from descend.program_check.program import Program
from descend.program_check.results import BugAbsent, CheckResult, Undetermined
from descend.program_check.source_lines import own_sources


def idle_evaluation(program: Program) -> int | None:
    """Return a line that sets evaluation mode, in a loop of the training or what that calls, and
    did not run while the program was tried."""
    trees = own_sources(program.file)
    bodies: list[ast.AST] = [*loop_bodies(program.scopes)]
    step = getattr(program.parts.get("step"), "__name__", "")
    if not bodies:  # the loop of a program with a `step` is not run
        loops = [n for tree in trees.values() for n in ast.walk(tree) if isinstance(n, Loop)]
        bodies = [loop for loop in loops if step in called_names([loop])]
    defined = functions_by_name(trees)
    reached, waiting = set[str](), called_names(bodies)
    while waiting:
        reached |= waiting
        waiting = called_names([d for n in waiting for d in defined.get(n, ())]) - reached
    nodes = [*bodies, *(d for name in reached for d in defined.get(name, ()))]
    run = {line for _, line in program.evaluation_lines}
    calls = {n for node in nodes for n in ast.walk(node) if sets_mode(n)}
    lines = {int(getattr(n, "lineno", 0)) for n in calls}
    return min(lines - run, default=None)


def unless_evaluation_idle(program: Program, result: BugAbsent) -> CheckResult:
    """Return `result`, or where an evaluation did not run, that it is undetermined."""
    line = idle_evaluation(program)
    if line is None:
        return result
    return Undetermined(f"line {line}, which sets evaluation mode, did not run in the check")
