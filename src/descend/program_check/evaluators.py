"""Functions of a program that evaluate, by what they do: they set evaluation mode and learn
nothing."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping, Sequence, Set
from typing import Any

from descend.program_check.loop_source import (
    VALIDATION_WORDS,
    WITHOUT_GRADIENT,
    Loop,
    loops_around,
)
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
    """Return the functions that set evaluation mode, or make no gradients for what they call
    validation, or call one that does, and never learn: name and line."""
    defined = functions_by_name(trees)
    calls = {name: called_names(nodes) for name, nodes in defined.items()}
    direct = {name for name, nodes in defined.items() if any(map(_evaluates, nodes))}
    evaluating = _closure(direct, calls) - _learning(calls)
    return {name: defined[name][0].lineno for name in defined if name in evaluating}


def _evaluates(function: ast.FunctionDef) -> bool:
    text = ast.unparse(function)
    is_validation = WITHOUT_GRADIENT.search(text) and VALIDATION_WORDS.search(text)
    return bool(is_validation) or any(map(sets_mode, ast.walk(function)))


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
            if isinstance(node, ast.FunctionDef):
                defined.setdefault(node.name, []).append(node)
    return defined


def mode_setters(file: str) -> set[str]:
    """Return the functions of a program that set training mode, or call one that does, and never
    learn."""
    defined = functions_by_name(own_sources(file))
    calls = {name: called_names(nodes) for name, nodes in defined.items()}
    setting = {name for name, names in calls.items() if ".train" in names}
    return _closure(setting, calls) - _learning(calls)


def _learning(calls: Mapping[str, Set[str]]) -> set[str]:
    return _closure({name for name, names in calls.items() if "backward" in names}, calls)


def _closure(names: Set[str], calls: Mapping[str, Set[str]]) -> set[str]:
    """Return `names`, and all that call one of them, however far down."""
    reached, size = set(names), -1
    while len(reached) > size:
        size = len(reached)
        reached |= {name for name, called in calls.items() if called & reached}
    return reached


def called_names(nodes: Sequence[ast.AST]) -> set[str]:
    """Return the last words of what is called; of a network's mode, `.eval` and `.train`."""
    return {_called_name(n) for node in nodes for n in ast.walk(node) if isinstance(n, ast.Call)}


def _called_name(call: ast.Call) -> str:
    word = ast.unparse(call.func).rpartition(".")[2]
    is_mode = word in OF_TORCH and isinstance(call.func, ast.Attribute) and len(call.args) < 2
    return f".{word}" if is_mode else word


def sets_mode(node: ast.AST) -> bool:
    """Return whether this is a call of `.eval()` or `.train(False)`."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return False
    arguments = [ast.unparse(a) for a in node.args]
    return (node.func.attr, arguments) in (("eval", []), ("train", ["False"]))
