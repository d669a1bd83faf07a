"""The plan of the package, held against the code: light imports, layers, sizes, names."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import descend
from descend import errors

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "src" / "descend").rglob("*.py"))

HEAVY = ("torch", "transformers", "tokenizers", "numpy", "pyarrow", "safetensors", "rensa",
         "docx", "scipy", "pypdfium2", "selectolax", "yaml", "rich.progress", "jinja2",
         "optuna", "sqlalchemy", "ray")  # fmt: skip

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60

# May only shrink: name and its lines.
LONG_FILES: dict[str, int] = {}
LONG_FUNCTIONS: dict[str, int] = {}
REPEATED_NAMES = {"improvement"}


def loaded_by(code: str) -> set[str]:
    """Which of `HEAVY` are imported once `code` has run in a fresh Python."""
    probe = f"{code}\nimport sys\nprint(*[m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True, timeout=240
    )
    return set(done.stdout.splitlines()[-1].split())


def test_import_probe_detects_imported_modules() -> None:
    assert {"torch", "numpy"} <= loaded_by("from descend import run")
    assert loaded_by("") == set()


def test_importing_descend_loads_nothing_heavy() -> None:
    assert loaded_by("import descend; descend.__version__; descend.RunConfig") == set()


def verbs() -> Iterator[tuple[str, ...]]:
    """The words of every verb and group of verbs; () for `descend` itself."""
    from typer.main import get_command

    from descend.cli.main import app

    def walk(command: object, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        yield path
        for name, child in getattr(command, "commands", {}).items():
            yield from walk(child, (*path, name))

    return walk(get_command(app), ())


def test_help_of_every_verb_loads_nothing_heavy() -> None:
    lines = [[*words, "--help"] for words in verbs()]
    assert len(lines) > 12
    code = "from descend.cli.main import run\n" + "\n".join(
        f"assert run({words!r}) == 0" for words in [*lines, ["--version"]]
    )
    assert loaded_by(code) == set()


@pytest.mark.skipif(os.name != "posix", reason="the times of children are POSIX")
def test_help_is_quick() -> None:
    def processor_seconds() -> float:
        before = os.times()
        subprocess.run([sys.executable, "-m", "descend", "--help"], check=True, capture_output=True)
        after = os.times()
        return (after.children_user - before.children_user) + (
            after.children_system - before.children_system
        )

    # The claim is 0.5 s on a quiet machine. Processor time, since tests may run beside others;
    # twice the claim, since a busy machine is slower: importing torch takes over 1.5.
    assert any(processor_seconds() < 1.0 for _ in range(4))


def test_every_public_name_resolves() -> None:
    for name in descend.__all__:
        assert getattr(descend, name) is not None
    assert set(descend._LAZY_EXPORTS) | {"__version__"} == set(descend.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = descend.nothing
    # A module named like a verb of the library would hide it once imported.
    modules = {path.stem for path in (ROOT / "src" / "descend").iterdir()}
    assert not modules & set(descend.__all__)


def test_each_package_imports_only_from_packages_below_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()",
         "--no-cache"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 kept, 0 broken" in done.stdout


def layers() -> list[str]:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    return list(contracts["contracts"][0]["layers"])


def test_architecture_page_table_matches_import_layers() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| *`(descend\.\w+)`", page, re.MULTILINE) == layers()


def test_every_package_is_in_the_contract() -> None:
    # The package itself, its version and `python -m descend` are no layers.
    apart = {"__init__", "__main__", "version", "py", "__pycache__"}
    there = {p.stem for p in (ROOT / "src" / "descend").iterdir()} - apart
    assert there == {layer.removeprefix("descend.") for layer in layers()}


def test_files_stay_short_enough_to_read() -> None:
    long = {str(p.relative_to(ROOT)): len(p.read_text(encoding="utf-8").splitlines())
            for p in SOURCES}  # fmt: skip
    assert {f: n for f, n in long.items() if n > MAX_FILE_LINES} == LONG_FILES


def test_no_two_modules_have_one_name() -> None:
    """A file of `cli/` or `web/` is named like what it shows. Other names are of one module."""
    package = ROOT / "src" / "descend"
    names = Counter(
        p.stem for p in SOURCES
        if p.stem != "__init__" and p.relative_to(package).parts[0] not in ("cli", "web")
    )  # fmt: skip
    assert {name for name, count in names.items() if count > 1} == REPEATED_NAMES


def test_functions_stay_short_enough_to_read() -> None:
    long = {}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    long[f"{path.stem}.{node.name}"] = lines
    assert long == LONG_FUNCTIONS


def test_every_error_has_exit_code_docstring_and_fields() -> None:
    kinds = [e for e in vars(errors).values()
             if isinstance(e, type) and issubclass(e, errors.DescendError)]  # fmt: skip
    assert len(kinds) > 5
    for kind in kinds:
        assert kind.exit_code == (2 if issubclass(kind, errors.UserError) else 1)
        assert kind.__doc__
        assert str(kind("here", "this", "that", "do so")) == (
            "here: expected that, but found this. Fix: Do so."
        )
