"""The names that a stopped loop can see, and code that runs among them."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import CellType, CodeType, FunctionType
from typing import Any

from descend.program_check.loop_source import RETURN, ScopeSource
from descend.program_check.training_loop import ScopeFrame


class LoopReturnError(BaseException):
    """Stands for a `return` in the body of a loop."""


def visible_names(
    scopes: Sequence[ScopeFrame], recognized: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """Return what the loop can name, then what its callers can, then what its object holds."""
    innermost = scopes[0]
    if innermost.is_module:
        return innermost.module_names
    names: dict[str, Any] = {}
    for scope in reversed(scopes):
        names |= scope.module_names
    for scope in reversed(scopes):
        names |= {} if scope.is_module else dict(scope.names)
    names |= {k: v for k, v in innermost.module_names.items() if k.startswith("__")}
    owner = innermost.names.get("self")
    for name in (n for part in recognized.values() for n in part):
        if names.get(name) is None and getattr(owner, name, None) is not None:
            names[name] = getattr(owner, name)
    return names


def make_runner(
    scope: ScopeFrame, source: ScopeSource, code: CodeType, names: dict[str, Any]
) -> Callable[[], None]:
    """Run code among the program's names, and carry over what it changes to globals and cells."""
    outside = set() if scope.is_module else _global_names(source.scope)
    cells = {} if scope.is_module else _cells(names, set(scope.code.co_cellvars))

    def run() -> None:
        names[RETURN] = LoopReturnError
        for name, cell in cells.items():
            with suppress(ValueError):
                names[name] = cell.cell_contents
        try:
            exec(code, names)
        except LoopReturnError:
            pass
        finally:
            scope.module_names.update({n: names[n] for n in outside if n in names})
            for name, cell in cells.items():
                if name in names:
                    cell.cell_contents = names[name]

    return run


def _cells(names: Mapping[str, Any], shared: set[str]) -> dict[str, CellType]:
    """Return the cells in which functions of the loop's scope hold its local names."""
    functions = [v for v in names.values() if isinstance(v, FunctionType) and v.__closure__]
    return {
        name: cell for f in functions
        for name, cell in zip(f.__code__.co_freevars, f.__closure__ or (), strict=True)
        if name in shared
    }  # fmt: skip


def _global_names(scope: ast.AST) -> set[str]:
    """Return names that a function declares global."""
    return {name for n in ast.walk(scope) if isinstance(n, ast.Global) for name in n.names}
