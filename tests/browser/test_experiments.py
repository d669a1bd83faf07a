"""The reports of experiments as a reader sees them: the results of real ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from descend.artifacts import ATTRIBUTION_FILE, COMPARISON_FILE, SEARCH_FILE
from descend.experiments.attribute.attribution_result import Attribution
from descend.experiments.compare.comparison_result import Comparison
from descend.experiments.experiment_folder import write_record
from descend.experiments.search.search_result import SearchResult
from descend.report.html.write import write_report

from .test_report import HOSTILE, drawn, inaccessible

Visit = Callable[..., Any]

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"

COMMAND = "descend compare tinyshakespeare.txt --vary learning_rate=0.0003,0.001"

KINDS: dict[str, tuple[str, str, type[Any]]] = {
    "attribution": ("attribute/old_guide_0.02_tinyshakespeare", ATTRIBUTION_FILE, Attribution),
    "comparison": ("compare/rates", COMPARISON_FILE, Comparison),
    "search": ("search/tinyshakespeare", SEARCH_FILE, SearchResult),
}

MIN_FONT_SIZE = 11
"""Pixels of the smallest letters on a telephone."""


def record(kind: str) -> Any:
    """What was found, as it was committed; some are older than the field of the command."""
    file, _, of = KINDS[kind]
    result = json.loads((RESULTS / f"{file}.json").read_text())["result"]
    return msgspec.convert(result | {"command": COMMAND}, of)


@pytest.fixture(scope="module", params=KINDS)
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    write_record(folder, KINDS[request.param][1], record(request.param))
    return Path(write_report(folder).file)


@pytest.mark.parametrize("dark", [False, True])
def test_experiment_report_renders_without_errors_or_requests(
    visit: Visit, report: Path, dark: bool
) -> None:
    session = visit(report, dark=dark)
    assert drawn(session) == session.page.locator("[data-figure]").count() >= 1
    assert (session.errors, session.requests) == ([], [report.as_uri()])
    paper = session.page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert (sum(map(int, paper[4:-1].split(","))) < 128 * 3) == dark


def test_a_command_can_be_copied_as_it_is(visit: Visit, report: Path) -> None:
    session = visit(report, width=390)
    assert session.page.locator("#again .command").inner_text() == COMMAND


def test_it_can_be_read_on_a_telephone(visit: Visit, report: Path) -> None:
    session = visit(report, width=390)
    drawn(session)
    assert session.page.evaluate("document.documentElement.scrollWidth") == 390
    sizes = session.page.evaluate(
        "[...document.querySelectorAll('main *')]"
        ".filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))"
        ".filter(e => e.getClientRects().length)"
        ".map(e => parseFloat(getComputedStyle(e).fontSize))"
    )
    assert len(sizes) > 30
    assert min(sizes) >= MIN_FONT_SIZE
    # Long names beside a figure leave most of it to the figure.
    boxes = session.page.evaluate(
        "[document.querySelector('.canvas'), ...document.querySelectorAll('.canvas svg')[0]"
        ".querySelectorAll('text')].map(e => e.getBoundingClientRect())"
        ".map(b => [b.left, b.right])"
    )
    (left, right), *names = boxes
    assert len(names) >= 5
    for low, high in names:
        assert left - 1 <= low < high <= right + 1
        assert high - low <= (right - left) / 2


@pytest.mark.parametrize("dark", [False, True])
def test_it_is_accessible(visit: Visit, report: Path, dark: bool) -> None:
    session = visit(report, dark=dark, width=390)
    drawn(session)
    assert inaccessible(session) == []


def test_a_hostile_name_stays_a_name(visit: Visit, tmp_path: Path) -> None:
    attribution = record("attribution")
    parts = [msgspec.structs.replace(s, change=HOSTILE) for s in attribution.contributions]
    write_record(
        tmp_path,
        ATTRIBUTION_FILE,
        msgspec.structs.replace(attribution, a=HOSTILE, sentence=HOSTILE, contributions=parts),
    )
    file = Path(write_report(tmp_path).file)
    session = visit(file)
    drawn(session)
    session.page.locator("[data-figure] svg").first.hover()
    assert session.page.evaluate("typeof hacked") == "undefined"
    assert (session.errors, session.requests) == ([], [file.as_uri()])
    assert session.page.locator("img[onerror]").count() == 0
