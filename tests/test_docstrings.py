"""A docstring names only what exists: a parameter, or something of the package."""

from __future__ import annotations

import ast
import builtins
import keyword
import re
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src"

FOREIGN = {
    "AutoTokenizer", "DecompressionStream", "GPT2Model", "add_scalars", "datasets", "nohup",
}  # fmt: skip
"""Names of other programs and libraries that docstrings mention."""

COMMON = {"arm", "lanes", "least", "moved", "outcome", "place", "seen", "told", "wanted", "words"}
"""Old names of parameters that stand elsewhere as words: here only a name of the function counts.
"""


def names_of_package(trees: list[ast.Module]) -> set[str]:
    """Everything that is defined, imported, or spelled out as a key."""
    names = set(dir(builtins)) | set(keyword.kwlist) | FOREIGN
    for node in (n for tree in trees for n in ast.walk(tree)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Attribute):
            names.add(node.attr)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
        elif isinstance(node, ast.Name) and node.id.isupper():
            names.add(node.id)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names.add(node.value)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names.update(part for alias in node.names for part in alias.name.split("."))
    return names


def unknown_names(function: ast.FunctionDef, known: set[str]) -> list[str]:
    """Names in backquotes that are neither of `function` nor in `known`."""
    quoted = re.findall(r"`([A-Za-z_]\w*)`", ast.get_docstring(function) or "")
    if not quoted:
        return []
    own = {n.arg for n in ast.walk(function) if isinstance(n, ast.arg)}
    own |= {n.id for n in ast.walk(function) if isinstance(n, ast.Name)}
    return [n for n in quoted if n not in own and (n not in known or n in COMMON)]


def test_docstrings_name_only_what_exists() -> None:
    trees = {path: ast.parse(path.read_text("utf-8")) for path in sorted(SOURCE.rglob("*.py"))}
    known = names_of_package(list(trees.values())) | {path.stem for path in trees}
    unknown = [
        f"{path.relative_to(SOURCE)}:{node.lineno} {node.name}: {name}"
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        for name in unknown_names(node, known)
    ]
    assert not unknown


def test_unknown_name_is_reported() -> None:
    function = ast.parse("def f(new):\n    '''Double `old`, of `new`.'''").body[0]
    assert isinstance(function, ast.FunctionDef)
    assert unknown_names(function, {"f"}) == ["old"]
