"""No module imports itself through others, lazy imports included."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "descend"


def module_name(path: Path) -> str:
    """`descend.runs.lock` for src/descend/runs/lock.py; a package for its `__init__.py`."""
    parts = ("descend", *path.relative_to(SOURCE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_modules(tree: ast.AST, modules: set[str]) -> set[str]:
    """Modules of `modules` that a source names in an import, at its top or inside a function."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            members = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= members & modules or {node.module}
    return names & modules


def import_graph() -> dict[str, set[str]]:
    """Module to the modules it imports, within descend. Faces of packages only hand names on."""
    paths = [p for p in SOURCE.rglob("*.py") if p.parent != SOURCE or p.name != "__init__.py"]
    modules = {module_name(path) for path in paths}
    return {
        module_name(path): imported_modules(ast.parse(path.read_text(encoding="utf-8")), modules)
        - {module_name(path)}
        for path in paths
    }


def test_graph_contains_lazy_imports() -> None:
    tree = ast.parse("def f():\n    from a import b\nimport c")
    assert imported_modules(tree, {"a", "a.b", "c"}) == {"a.b", "c"}
    with pytest.raises(CycleError):
        list(TopologicalSorter({"a": {"b"}, "b": {"a"}}).static_order())


def test_no_module_imports_itself_through_others() -> None:
    graph = import_graph()
    assert len(graph) > 300
    list(TopologicalSorter(graph).static_order())  # raises CycleError, which names the cycle
