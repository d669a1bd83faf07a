"""Bugs planted by mechanical edits in programs of other styles are named, and nothing else is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from descend.program_check.bugs import BUGS
from descend.program_check.run_checks import check_module

FOLDER = Path(__file__).parents[2] / "benchmarks" / "check"
PROGRAMS = sorted((FOLDER / "programs").glob("p*.py"))
FAST = [
    ("p21", ""),
    ("p21", "causal_mask_leaky"),
    ("p01", "gradients_not_zeroed"),
    ("p12", "padding_mask_inverted"),
    ("p01", "targets_broadcast"),
]
SLOW = [("p01", ""), ("p15", ""), ("p03", "step_never_called"), ("p09", "dropout_in_evaluation"),
        ("p09", "left_in_evaluation_mode"), ("p13", "accumulation_misreduced"),
        ("p23", "targets_unshifted"), ("p27", "loss_not_averaged"),
        ("p03", "padding_mask_inverted"), ("p09", "padding_mask_inverted")]  # fmt: skip


@pytest.fixture
def planting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(str(FOLDER))
    import plant  # type: ignore[import-not-found]

    yield plant
    sys.modules.pop("plant", None)


def bugs_of(planting: Any, start: str, bug: str) -> list[str]:
    """The bugs that are named of a program, after `bug` was planted in it."""
    (file,) = [p for p in PROGRAMS if p.stem.startswith(start)]
    source = file.read_text(encoding="utf-8")
    planted = planting.plant(file.stem, source, bug) if bug else source
    assert planted is not None
    assert bug == "" or planted != source
    Path("program.py").write_text(planted, encoding="utf-8")
    return [b.bug for b in check_module("program.py").bugs]


def test_plant_has_rules_for_every_bug(planting: Any) -> None:
    assert set(planting.RULES) == {bug.name for bug in BUGS}


def test_plant_gives_a_program_that_compiles_when_a_rule_applies(planting: Any) -> None:
    planted = 0
    kinds = set()
    for file in PROGRAMS:
        source = file.read_text(encoding="utf-8")
        for bug in planting.RULES:
            edited = planting.plant(file.stem, source, bug)
            if edited is not None:
                compile(edited, f"{file.stem} {bug}", "exec")
                planted, kinds = planted + 1, kinds | {bug}
    assert planted >= 300
    assert kinds == set(planting.RULES)


@pytest.mark.parametrize(
    ("start", "bug"), [*FAST, *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOW)]
)
def test_check_names_the_planted_bug_alone(planting: Any, start: str, bug: str) -> None:
    assert bugs_of(planting, start, bug) == ([bug] if bug else [])
