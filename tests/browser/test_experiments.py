"""The reports of a search and an attribution as a reader sees them: results of real ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from descend.lab.attribute import Attribution
from descend.lab.folder import ATTRIBUTION, SEARCH, write_record
from descend.lab.searched import Search
from descend.report.write import write_report

from .test_report import HOSTILE, drawn

Visit = Callable[..., Any]

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"

COMMAND = {"command": "descend attribute old guide tinyshakespeare.txt --runs 22"}
"""Of the one result that is older than the field."""

SMALLEST = 11
"""Pixels of the smallest letters on a telephone."""


def attribution() -> Attribution:
    file = RESULTS / "attribute" / "old_guide_0.02_tinyshakespeare.json"
    return msgspec.convert(COMMAND | json.loads(file.read_text())["outcome"], Attribution)


def search() -> Search:
    file = RESULTS / "search" / "tinyshakespeare.json"
    return msgspec.convert(COMMAND | json.loads(file.read_text())["outcome"], Search)


@pytest.fixture(scope="module", params=["attribution", "search"])
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "attribution":
        write_record(folder, ATTRIBUTION, attribution())
    else:
        write_record(folder, SEARCH, search())
    return Path(write_report(folder).file)


@pytest.mark.parametrize("dark", [False, True])
def test_it_is_drawn_without_an_error_or_a_request(visit: Visit, report: Path, dark: bool) -> None:
    seen = visit(report, dark=dark)
    assert drawn(seen) == seen.page.locator("[data-figure]").count() >= 1
    assert (seen.errors, seen.requests) == ([], [report.as_uri()])
    paper = seen.page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert (sum(map(int, paper[4:-1].split(","))) < 128 * 3) == dark


def test_a_command_can_be_copied_as_it_is(visit: Visit, report: Path) -> None:
    seen = visit(report, width=390)
    assert seen.page.locator("#again .command").inner_text() == COMMAND["command"]


def test_it_can_be_read_on_a_telephone(visit: Visit, report: Path) -> None:
    seen = visit(report, width=390)
    drawn(seen)
    assert seen.page.evaluate("document.documentElement.scrollWidth") == 390
    sizes = seen.page.evaluate(
        "[...document.querySelectorAll('main *')]"
        ".filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))"
        ".filter(e => e.getClientRects().length)"
        ".map(e => parseFloat(getComputedStyle(e).fontSize))"
    )
    assert len(sizes) > 30
    assert min(sizes) >= SMALLEST
    # Long names beside a figure leave most of it to the figure.
    canvas = seen.page.locator("[data-figure] .canvas").first.bounding_box()
    names = seen.page.locator("[data-figure] svg").first.locator("text")
    for box in (name.bounding_box() for name in names.all()):
        assert box["x"] >= canvas["x"] - 1
        assert box["x"] + box["width"] <= canvas["x"] + canvas["width"] + 1
        assert box["width"] <= canvas["width"] / 2


@pytest.mark.parametrize("dark", [False, True])
def test_it_is_accessible(visit: Visit, report: Path, dark: bool) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    seen = visit(report, dark=dark, width=390)
    drawn(seen)
    found = axe.run(seen.page).response["violations"]
    assert [(v["id"], v["nodes"][0]["html"]) for v in found] == []


def test_a_hostile_name_stays_a_name(visit: Visit, tmp_path: Path) -> None:
    found = attribution()
    shares = [msgspec.structs.replace(s, change=HOSTILE) for s in found.shares]
    write_record(
        tmp_path,
        ATTRIBUTION,
        msgspec.structs.replace(found, a=HOSTILE, sentence=HOSTILE, shares=shares),
    )
    file = Path(write_report(tmp_path).file)
    seen = visit(file)
    drawn(seen)
    seen.page.locator("[data-figure] svg").first.hover()
    assert seen.page.evaluate("typeof hacked") == "undefined"
    assert (seen.errors, seen.requests) == ([], [file.as_uri()])
    assert seen.page.locator("img[onerror]").count() == 0
