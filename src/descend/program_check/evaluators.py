"""Functions of a program that evaluate, by what they do: they set evaluation mode and learn
nothing."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping, Sequence, Set
from typing import Any

from descend.program_check.loop_source import Loop, loops_around
from descend.program_check.source_lines import own_sources
from descend.program_check.training_loop import LoopStart, ScopeFrame

OF_TORCH = frozenset({"eval", "train"})
"""Names of a module's own methods that set the mode."""


def evaluators_in_loops(start: LoopStart) -> dict[str, int]:
    """Return the functions called in the loop, or a loop around it, that evaluate: name and line.

    Those that run in every step are none of them.
    """
    assert start.loop is not None
    called = called_names(loop_bodies(start.scopes))
    running = {code.co_name for code in start.running}
    lines = evaluating_functions(own_sources(start.loop.file))
    return {name: line for name, line in lines.items() if name in called - running}


def loop_bodies(scopes: Sequence[ScopeFrame]) -> list[ast.stmt]:
    """Return the statements of the loops that were running."""
    loops = [s for scope in scopes for s in loops_around(scope.code.co_filename, scope.line)]
    return [statement for loop in loops for statement in loop.loop.body]


def evaluating_functions(trees: Mapping[str, ast.Module]) -> dict[str, int]:
    """Return the functions that set evaluation mode, or call one that does, and never learn: name
    and line."""
    defined = functions_by_name(trees)
    calls = {name: called_names(nodes) for name, nodes in defined.items()}
    direct = {name for name, nodes in defined.items()
              if any(sets_mode(n) for node in nodes for n in ast.walk(node))}  # fmt: skip
    evaluating = _closure(direct, calls)
    learning = _closure({name for name, names in calls.items() if "backward" in names}, calls)
    return {name: defined[name][0].lineno for name in defined if name in evaluating - learning}


def evaluator_beside(step: str, namespace: Mapping[str, Any], file: str | None) -> Any:
    """Return a function of `namespace` that evaluates and is called in a loop beside `step`; None
    without any."""
    trees = own_sources(file)
    loops = [n for tree in trees.values() for n in ast.walk(tree) if isinstance(n, Loop)]
    called = called_names([loop for loop in loops if step in called_names([loop])])
    names = [name for name in evaluating_functions(trees) if name in called]
    return next((namespace[n] for n in names if inspect.isfunction(namespace.get(n))), None)


def functions_by_name(trees: Mapping[str, ast.Module]) -> dict[str, list[ast.FunctionDef]]:
    """Return the functions and methods of a program; several may share a name."""
    defined: dict[str, list[ast.FunctionDef]] = {}
    for tree in trees.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.name not in OF_TORCH:
                defined.setdefault(node.name, []).append(node)
    return defined


def _closure(names: Set[str], calls: Mapping[str, Set[str]]) -> set[str]:
    """Return `names`, and all that call one of them, however far down."""
    reached, size = set(names), -1
    while len(reached) > size:
        size = len(reached)
        reached |= {name for name, called in calls.items() if called & reached}
    return reached


def called_names(nodes: Sequence[ast.AST]) -> set[str]:
    """Return the last words of what is called."""
    return {ast.unparse(n.func).rpartition(".")[2] for node in nodes for n in ast.walk(node)
            if isinstance(n, ast.Call)}  # fmt: skip


def sets_mode(node: ast.AST) -> bool:
    """Return whether this is a call of `.eval()` or `.train(False)`."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return False
    arguments = [ast.unparse(a) for a in node.args]
    return (node.func.attr, arguments) in (("eval", []), ("train", ["False"]))
