"""No module imports itself through others, lazy imports included."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "descend"

# May only shrink: packages whose folders and modules, each drawn as one, still form a cycle.
CYCLIC_PACKAGES: set[str] = set()


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


def member_graph(package: str, graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """Member of `package` to the members it imports; a subpackage is one member."""
    prefix = f"{package}."
    members: dict[str, set[str]] = {}
    for module, imports in graph.items():
        if module.startswith(prefix):
            member = module.removeprefix(prefix).split(".")[0]
            inside = {i.removeprefix(prefix).split(".")[0] for i in imports if i.startswith(prefix)}
            members.setdefault(member, set()).update(inside - {member})
    return members


def has_cycle(graph: dict[str, set[str]]) -> bool:
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError:
        return True
    return False


def test_no_subpackage_imports_itself_through_its_neighbours() -> None:
    graph = import_graph()
    packages = {module.rpartition(".")[0] for module in graph} - {"descend"}
    assert len(packages) > 30
    assert member_graph("a", {"a.b.c": {"a.d"}, "a.d": {"a.b.e"}}) == {"b": {"d"}, "d": {"b"}}
    assert {p for p in packages if has_cycle(member_graph(p, graph))} == CYCLIC_PACKAGES
