"""The table of the campaign is that of the stored results, and its parts can be started."""

from __future__ import annotations

import ast
import importlib
import itertools
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "benchmarks" / "reliability"


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a script of the campaign by its name."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


def test_page_says_what_the_stored_results_say() -> None:
    done = subprocess.run([sys.executable, str(FOLDER / "table.py"), "--check"],
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_each_part_of_the_campaign_is_a_script() -> None:
    makefile = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    line = re.search(r"^PARTS := (.*)$", makefile, re.MULTILINE)
    assert line is not None
    assert len(line[1].split()) > 5
    for part in line[1].split():
        script = re.sub(r"(^mutations|^memory|^exact_resume)_\w+$", r"\1", part)  # one of several
        assert (FOLDER / f"{script}.py").exists()


def test_covering_rows_hold_every_pair(scripts: Any) -> None:
    module = scripts("exact_resume")
    rows = module.covering_rows(module.FACTORS)
    for a in module.FACTORS:
        for b in module.FACTORS:
            pairs = {(row[a], row[b]) for row in rows}
            if a != b:
                assert len(pairs) == len(module.FACTORS[a]) * len(module.FACTORS[b])
    assert len(rows) < 30
    assert module.choose_stops(7, 40, 20) == [1, 2, 10, 20, 21, 30, 39]


def test_disk_model_keeps_only_what_was_synced(scripts: Any, own_folder: Path) -> None:
    module = scripts("crash_states")
    call = scripts("fault_injection").Call
    (own_folder / "old").write_bytes(b"old")
    disk, numbers = module.Disk(own_folder), itertools.count()

    def apply(name: str, path: str, other: str = "", data: bytes = b"") -> None:
        disk.apply(call(0, name, False, len(data), f"{own_folder}/{path}", other, data))

    def states() -> set[tuple[tuple[str, bytes], ...]]:
        laid = set()
        for views, new in disk.states():
            target = own_folder.parent / f"state_{next(numbers)}"
            disk.write(views, new, target)
            laid.add(tuple(sorted((p.name, p.read_bytes()) for p in target.iterdir())))
        return laid

    old = ("old", b"old")
    apply("open", "new")
    apply("write", "new", data=b"new")
    assert states() == {(old,), (("new", b""), old), (("new", b"new"), old)}
    apply("fsync", "new")
    assert states() == {(old,), (("new", b"new"), old)}
    apply("rename", "new", f"{own_folder}/old")
    assert states() == {(old,), (("old", b"new"),)}
    apply("fsync", "")
    assert states() == {(("old", b"new"),)}


def test_every_function_of_our_code_that_syncs_has_its_mutation(scripts: Any) -> None:
    """A sync that nobody takes out is one that nobody tests."""
    places = {mutation.place.replace(".", "/") for mutation in scripts("mutations").SYNCS}
    calls = {"fsync", "sync_file", "sync_folder", "sync_events"}
    places.add("interop/export/export_model:_write_aside")  # an export can be made again
    source = ROOT / "src" / "descend"
    for path in sorted(source.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = {getattr(c.func, "attr", getattr(c.func, "id", "")) for c in ast.walk(node)
                     if isinstance(c, ast.Call)}  # fmt: skip
            if names & calls:
                where = f"{path.relative_to(source).with_suffix('').as_posix()}:{node.name}"  # type: ignore[attr-defined]
                assert where in places, where


def test_each_mutation_changes_a_line_that_is_there(scripts: Any) -> None:
    module = scripts("mutations")
    for mutation in (*module.SYNCS, *module.CHECKS):
        _, source = module.change_source(mutation)
        ast.parse(source)


def test_each_check_that_is_taken_out_is_there_with_its_test(scripts: Any) -> None:
    module, mutation = scripts("check_mutations"), scripts("mutations").Mutation
    assert len(module.CHECKS) > 25
    for check in module.CHECKS:
        changed = mutation(check.promise, check.place, check.line, check.instead, "")
        _, source = scripts("mutations").change_source(changed)
        ast.parse(source)
        file, _, name = check.test.partition("::")
        text = (ROOT / file).read_text(encoding="utf-8")
        assert f"def {name.partition('[')[0]}(" in text or not name, check.test
