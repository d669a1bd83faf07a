"""Every report on a telephone and on a screen: of a run in any state, and of an experiment."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from descend.experiments.experiment_folder import write_record
from descend.report.html.write import write_report

from ..cli.test_states import STATES, states  # noqa: F401
from .layout import BROKEN_WORDS, CUT_TABLES, faulty_labels, open_all
from .test_experiments import KINDS, record
from .test_report import inaccessible

Visit = Callable[..., Any]

MAX_HEIGHT = 6_500
"""CSS pixels of a run's report on a screen, folded."""

REPORTS = (*STATES, "finished", "damaged_events", *KINDS)
DARK_REPORTS = ("finished", "diverged", *KINDS)
"""Seen in the dark too by the fast tests: what the others have is in them."""


@pytest.fixture
def report(
    request: pytest.FixtureRequest, trained: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The report named by the parameter, written once."""
    name = request.param
    if name not in WRITTEN:
        folder = tmp_path_factory.mktemp("reports") / name
        if name in KINDS:
            folder.mkdir()
            write_record(folder, KINDS[name][1], record(name))
        elif name in STATES:
            shutil.copytree(request.getfixturevalue("states") / name, folder)
        else:
            shutil.copytree(trained, folder)
        if name == "damaged_events":
            events = folder / "events.jsonl"
            lines = events.read_bytes().splitlines(keepends=True)
            middle = len(lines) // 2
            events.write_bytes(b"".join([*lines[:middle], b'{"kind": "st\n', *lines[middle + 2 :]]))
        WRITTEN[name] = Path(write_report(folder).file)
    return WRITTEN[name]


WRITTEN: dict[str, Path] = {}


@pytest.mark.parametrize(
    ("report", "dark"),
    [
        pytest.param(
            name, dark, marks=pytest.mark.slow if dark and name not in DARK_REPORTS else ()
        )
        for name in REPORTS for dark in (False, True)
    ],
    indirect=["report"],
)  # fmt: skip
def test_report_is_whole_and_accessible_on_a_telephone(
    visit: Visit, report: Path, dark: bool
) -> None:
    session = visit(report, width=390, dark=dark)
    open_all(session)
    assert session.page.evaluate("document.documentElement.scrollWidth") == 390
    assert session.page.evaluate(BROKEN_WORDS) == []
    assert session.page.evaluate(CUT_TABLES) == []
    assert faulty_labels(session) == []
    assert inaccessible(session) == []
    assert session.errors == []


@pytest.mark.parametrize("report", [*STATES, "finished", "damaged_events"], indirect=True)
def test_first_screen_says_what_and_next_and_shows_the_curve(visit: Visit, report: Path) -> None:
    session = visit(report, width=1280)
    session.page.locator('[data-figure="0"] svg').wait_for()
    assert session.page.evaluate("document.documentElement.scrollHeight") <= MAX_HEIGHT
    curve = session.page.locator('[data-figure="0"]').bounding_box()
    assert curve["y"] + curve["height"] <= 900
    leads = session.page.locator(".lead").all_inner_texts()
    assert leads[-1].startswith("Next: ")
    assert "descend " in leads[-1]
    open_all(session)
    assert faulty_labels(session) == []


@pytest.mark.parametrize("report", ["damaged_events"], indirect=True)
def test_damaged_events_are_named_in_the_report(visit: Visit, report: Path) -> None:
    session = visit(report)
    assert "events.jsonl" in session.page.locator("#notes").inner_text()


@pytest.mark.parametrize("report", ["finished"], indirect=True)
def test_captions_name_no_color_that_is_wrong_in_the_dark(visit: Visit, report: Path) -> None:
    session = visit(report, dark=True)
    open_all(session)
    captions = session.page.evaluate(
        "[...document.querySelectorAll('p, figcaption, caption, li')]"
        ".filter(e => !e.matches('.sample, .shaded_text'))"
        ".map(e => e.innerText).join(' ').toLowerCase().split(/[^a-z]+/)"
    )
    assert len(captions) > 200
    assert not {"dark", "darker", "light", "lighter", "pale", "black", "white", "grey", "gray"} & {
        *captions
    }


@pytest.mark.parametrize("report", ["finished"], indirect=True)
def test_a_link_to_a_folded_section_opens_it(visit: Visit, report: Path) -> None:
    session = visit(report)
    session.page.locator('[data-figure="0"] svg').wait_for()
    assert not session.page.locator("#settings table").first.is_visible()
    session.page.evaluate("location.hash = 'settings'")
    session.page.locator("#settings table").first.wait_for(state="visible")


def test_measures_notice_a_broken_word_a_cut_table_and_words_that_meet(
    visit: Visit, tmp_path: Path
) -> None:
    page = tmp_path / "faulty.html"
    page.write_text(
        "<main><p style='width:90px;overflow-wrap:anywhere;word-break:break-all'>a measurement of"
        " something</p><div class='wide' tabindex='0' style='width:80px;overflow:hidden'><table>"
        "<caption>cut</caption><tr><td style='min-width:300px'>x</td></tr></table></div>"
        "<figure data-figure='0'><figcaption>f</figcaption><svg width='90' height='40'>"
        "<text x='5' y='20'>one</text><text x='12' y='22'>two</text>"
        "<text x='80' y='20'>beyond</text></svg></figure></main>"
    )
    session = visit(page)
    assert session.page.evaluate(BROKEN_WORDS)
    assert session.page.evaluate(CUT_TABLES) == ["cut"]
    assert sorted(fault[1:] for fault in faulty_labels(session)) == [
        ("one", "two"), ("outside", "beyond"),
    ]  # fmt: skip
