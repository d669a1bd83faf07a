"""The evaluation of a program whose loop was stopped, and the mode in which its steps begin."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from types import CodeType
from typing import Any

from descend.program_check.evaluators import called_names, evaluators_in_loops, mode_setters
from descend.program_check.loop_scope import make_runner, visible_names
from descend.program_check.loop_source import (
    EVALUATES,
    Loop,
    LoopSource,
    ScopeSource,
    calls_training_mode,
    loops_around,
    scope_around,
    statements_before,
)
from descend.program_check.training_loop import LoopStart, ScopeFrame


def mode_is_reset(start: LoopStart, recognized: Mapping[str, Sequence[str]]) -> bool:
    """Return whether the step always begins in the mode in which the loop began.

    It does where nothing between two steps evaluates, and where the evaluation stands outside
    the loop and `.train()` is called on the way back in.
    """
    loop = start.loop
    assert loop is not None
    evaluations = {*recognized.get("evaluate", ()), *evaluators_in_loops(start)}
    if _evaluates(loop.loop.body, evaluations):
        return False
    if loop.outer is not None and _evaluates(loop.outer.body, evaluations):
        return calls_training_mode(_before(loop, loop.loop.lineno, inside=True), loop.file)
    between, before = list[Loop](), _before(loop, loop.loop.lineno)
    called = list[ast.stmt]()
    for scope in start.scopes[1:]:
        around = loops_around(scope.code.co_filename, scope.line)
        if around:
            between.append(around[-1].loop)
            before += called
            before += [s for s in around[0].loop.body if s.lineno < scope.line]
            called = []
        else:  # run in each pass of a loop further out, if there is one
            called += statements_before(scope.code.co_filename, scope.line)
    if not any(_evaluates(outer.body, evaluations) for outer in between):
        return True
    return calls_training_mode(before, loop.file)


def _before(loop: LoopSource, line: int, inside: bool = False) -> list[ast.stmt]:
    """Statements around a loop that come before a line, each taken alone.

    `inside`: only those that the outermost loop around it runs each time.
    """
    blocks: list[ast.AST] = [loop.scope, *loop.path]
    if inside:
        first = next(n for n, node in enumerate(blocks) if isinstance(node, Loop))
        blocks = blocks[first:]
    return [s for node in blocks for s in getattr(node, "body", []) if s.lineno < line]


def _evaluates(statements: list[ast.stmt], names: set[str]) -> bool:
    text = "\n".join(ast.unparse(s) for s in statements)
    return bool(EVALUATES.search(text)) or bool(called_names(statements) & names)


MAX_EVALUATIONS = 3
"""Evaluations of a program that are tried."""


def evaluations_of(
    start: LoopStart, names: dict[str, Any], recognized: Mapping[str, Sequence[str]]
) -> list[Any]:
    """Return the program's own evaluations: calls of functions that evaluate, by their names or by
    what they do, and a block in the loop; else what follows the loop."""
    loop = start.loop
    assert loop is not None
    evaluations = [
        _called_evaluation(start, name, names, recognized)
        for name in recognized.get("evaluate", ()) if callable(names.get(name))
    ]  # fmt: skip
    block = loop.evaluation_block()
    if block is not None and not any(evaluations):
        code, line = block
        evaluations.append(_evaluation(start.scopes[0], loop, code, names, line))
    for name, line in evaluators_in_loops(start).items():
        if name not in recognized.get("evaluate", ()):
            evaluations.append(_called_evaluation(start, name, names, recognized, line))
    evaluations = [e for e in evaluations if e is not None] or [
        e for e in (_following_evaluation(start, names, recognized),) if e is not None
    ]
    return evaluations[:MAX_EVALUATIONS]


def _following_evaluation(
    start: LoopStart, names: dict[str, Any], recognized: Mapping[str, Sequence[str]]
) -> Any:
    """Return what follows the loop, or its call by a loop further out, and evaluates."""
    loop = start.loop
    assert loop is not None
    rest = loop.rest_code()
    if rest is not None:
        return _evaluation(start.scopes[0], loop, rest, names, (loop.loop.end_lineno or 0) + 1)
    for number, scope in enumerate(start.scopes[1:], 1):
        for around in loops_around(scope.code.co_filename, scope.line):
            after = around.code_after(scope.line)
            if after is not None:
                own = visible_names(start.scopes[number:], recognized)
                return _evaluation(scope, around, after, own, scope.line + 1)
    return None


def _called_evaluation(
    start: LoopStart, name: str, names: dict[str, Any], recognized: Mapping[str, Sequence[str]],
    line: int = 0,
) -> Any:  # fmt: skip
    """Return the first call of a function that evaluates, by the loop's scope or by one of its
    callers, with the calls of `.eval()` and `.train()` around it. `line`: where it is defined, if
    it is not among `names`."""
    function = names.get(name)
    for number, scope in enumerate(start.scopes):
        source = scope_around(scope.code.co_filename, scope.line)
        setters = mode_setters(scope.code.co_filename) - {name}
        code = source.call_with_modes(name, setters) if source is not None else None
        if source is not None and code is not None:
            own = visible_names(start.scopes[number:], recognized) if number else names
            evaluate = _evaluation(scope, source, code, own, line)
            if callable(function):
                del evaluate.stands_at
                evaluate.defined_as = function
            return evaluate
    return None


def _evaluation(
    scope: ScopeFrame, source: ScopeSource, code: CodeType, names: dict[str, Any], line: int
) -> Any:
    run = make_runner(scope, source, code, names)

    def evaluate() -> None:
        run()

    evaluate.stands_at = (source.file, line)  # type: ignore[attr-defined]
    return evaluate
