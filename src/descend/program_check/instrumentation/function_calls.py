"""Which functions of a program ran: while it was loaded, and while it was checked."""

from __future__ import annotations

import ast
import inspect
import os
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType
from typing import Any

FunctionLine = tuple[str, int]
"""Name of a function and its first line, with its decorators: a file that runs twice makes two code
objects of one function."""


def function_line(code: CodeType) -> FunctionLine:
    """Return what a function is known by."""
    return code.co_name, code.co_firstlineno


@contextmanager
def recorded_calls(functions: Collection[CodeType]) -> Iterator[set[FunctionLine]]:
    """Record those of `functions` that are called by whoever runs inside."""
    files = {code.co_filename for code in functions}
    with _watched_calls(files, set(map(function_line, functions))) as called:
        yield called


@contextmanager
def recorded_load_calls(file: Path | None) -> Iterator[set[FunctionLine]]:
    """Record the functions at the outermost level of `file` that are called by whoever runs
    inside."""
    files = {os.path.abspath(file), str(file.resolve())} if file else set()
    with _watched_calls(files, _defined_functions(file) if file else set()) as called:
        yield called


@contextmanager
def _watched_calls(files: set[str], functions: set[FunctionLine]) -> Iterator[set[FunctionLine]]:
    """Record calls of `functions` of `files`.

    Watching slows all of Python by a third, so it ends once each was called.
    """
    called: set[FunctionLine] = set()
    left = set(functions)
    before = sys.getprofile()

    def note(frame: Any, event: str, _argument: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename in files:
            function = function_line(code)
            if function in left:
                called.add(function)
                left.remove(function)
                if not left:
                    sys.setprofile(None)

    sys.setprofile(note if left and before is None else before)
    try:
        yield called
    finally:
        sys.setprofile(before)


def _defined_functions(file: Path) -> set[FunctionLine]:
    """Return the functions at the outermost level of a file: name, and first line with its
    decorators."""
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return set()
    return {
        (node.name, min([node.lineno, *(d.lineno for d in node.decorator_list)]))
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
    }


def functions_of(namespace: Any, file: str | None) -> dict[str, CodeType]:
    """Functions that `file` defines at its outermost level, by name, in its order."""
    named = {
        name: inspect.unwrap(value) for name, value in list(namespace.items())
        if inspect.isfunction(value) and value.__name__ != "<lambda>"
    }  # fmt: skip
    functions = {
        name: value.__code__ for name, value in named.items()
        if inspect.isfunction(value) and value.__code__.co_filename == file
    }  # fmt: skip
    return dict(sorted(functions.items(), key=lambda item: item[1].co_firstlineno))
