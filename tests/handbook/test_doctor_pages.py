"""A page for every cause and bug, made from its docstring."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import descend
from descend.doctor.bugs import BUGS
from descend.doctor.causes import CAUSES
from descend.handbook.docstrings import GROUPS, doctor_pages
from descend.handbook.find import every_page, find
from descend.handbook.page import all_pages
from descend.handbook.show import explained

Explain = Callable[..., Any]

PAGES = doctor_pages()


def test_every_cause_and_every_bug_has_a_page_and_there_is_no_other() -> None:
    assert {p.name for p in PAGES.values() if p.group == "Causes"} == {c.name for c in CAUSES}
    assert {p.name for p in PAGES.values() if p.group == "Bugs"} == {b.name for b in BUGS}
    assert len(PAGES) == len(CAUSES) + len(BUGS) > 40
    assert not PAGES.keys() & all_pages().keys()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole(name: str) -> None:
    page = PAGES[name]
    assert {"What it is", "How it shows", "Proof", "When it is not this"} <= set(page.sections)
    assert all(len(body.split()) >= 3 for body in page.sections.values())
    assert set(page.see_also) <= every_page().keys() - {name}
    assert find(name) is page
    assert find(page.title) is page
    assert explained(name).text == page.text


def test_the_docstring_is_the_page(explain: Explain) -> None:
    source = Path(descend.__file__).parent / "doctor" / "causes" / "learning_rate_too_low.py"
    page = PAGES["learning_rate_too_low"]
    words = " ".join(source.read_text(encoding="utf-8").split('"""')[1].split())
    for heading, body in page.sections.items():
        assert f"{heading}: {' '.join(body.split())}" in words
    assert explain(page.name).out == page.text + "\n"
    found = json.loads(explain("causal", "mask", "missing", "--json").out)
    assert (found["name"], found["group"]) == ("causal_mask_missing", "Bugs")
    assert found["sections"] == PAGES["causal_mask_missing"].sections


def test_the_list_has_them_in_groups(explain: Explain) -> None:
    listed = explain().out
    for group in GROUPS:
        assert f"\n## {group}\n" in listed
    assert listed.index("## Signals") < listed.index("## Causes") < listed.index("## Bugs")
    for page in PAGES.values():
        assert f"- `{page.name}`: {page.title}\n" in listed


def test_a_cause_speaks_of_the_diagnosis_of_a_run(
    explain: Explain, trained: Path, own_folder: Path
) -> None:
    name = "learning_rate_too_low"
    assert "has not been diagnosed" in explain(name, "--run", trained).out
    run = own_folder / "run"
    shutil.copytree(trained, run)
    trial = {
        "metric": "validation_loss", "change": "3 times the learning rate", "control": 4.0,
        "treated": 3.5, "gain": 0.5, "ci95": [0.4, 0.6], "p_holm": 0.001, "seeds": 3, "tokens": 9,
        "share_of_run": 1.0, "seconds": 2.0, "cost_factor": 1.0,
    }  # fmt: skip
    finding = {
        "cause": name, "probability": 0.93, "evidence": [], "remedy": "raise it",
        "prescription": {"learning_rate": 0.003}, "trial": trial,
    }  # fmt: skip
    content = {
        "run": str(run), "verdict": name, "probability": 0.93, "causes": [finding],
        "ruled_out": [{"cause": "leakage", "because": "nothing of it stands in training"}],
        "readings": [], "notes": [], "cost": {"seconds": 1.0, "fraction_of_run": 0.1},
    }  # fmt: skip
    (run / "diagnosis.json").write_text(json.dumps(content))
    said = explain(name, "--run", run).out
    for part in ("confidence 0.93", "3 times the learning rate ends 0.500 nats better",
                 "(95 %: 0.400 to 0.600)", "`learning_rate = 0.003`"):  # fmt: skip
        assert part in said
    assert "ruled it out: nothing of it stands in training" in explain("leakage", "--run", run).out
    assert "says nothing of it" in explain("diverged", "--run", run).out
    (run / "diagnosis.json").write_text("{")
    done = explain(name, "--run", run)
    assert (done.code, done.err.count("\n")) == (2, 1)


def test_the_page_of_the_verb_lists_them() -> None:
    table = (Path(__file__).parents[2] / "docs" / "explain.md").read_text(encoding="utf-8")
    for group in GROUPS:
        names = [f"`{page.name}`" for page in PAGES.values() if page.group == group]
        assert f"| {group} | {', '.join(names)} |" in table
