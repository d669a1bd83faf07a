"""The report as a reader sees it, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from descend import run
from descend.report.html.write import write_report
from descend.report.notebook.report_frame import report_frame

from .layout import open_all

Visit = Callable[..., Any]

HOSTILE = (
    '</script><img src="https://example.invalid/x.png" onerror="hacked=1">'
    "<script>hacked=1</script> @ink\n"
)
"""Text that would run or fetch something wherever it reached the page unescaped."""


@pytest.fixture(scope="module")
def report(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("report") / "report.html"
    write_report(trained, file)
    return file


def drawn(session: Any) -> int:
    """How many figures have been drawn, once all is unfolded and the last of them has."""
    open_all(session)
    return int(session.page.locator("[data-figure] svg").count())


def inaccessible(session: Any) -> list[tuple[str, str]]:
    """What axe finds wrong: the rule, and the first place where it is broken."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    violations = axe.run(session.page).response["violations"]
    return [(v["id"], v["nodes"][0]["html"]) for v in violations]


def test_report_figures_render_without_errors_or_requests(visit: Visit, report: Path) -> None:
    session = visit(report)
    assert drawn(session) == session.page.locator("[data-figure]").count() > 8
    assert (session.errors, session.requests) == ([], [report.as_uri()])


def test_report_is_drawn_in_the_cell_of_a_notebook(
    visit: Visit, report: Path, tmp_path: Path
) -> None:
    cell = tmp_path / "cell.html"
    cell.write_text(f"<!doctype html>{report_frame(report.read_text(), 'Report of m', 700)}")
    session = visit(cell)
    session.page.frame_locator("iframe").locator("[data-figure] svg").first.wait_for()
    assert session.page.locator("iframe").bounding_box()["height"] >= 700
    assert session.errors == []
    assert session.page.evaluate("document.querySelector('iframe').contentDocument") is None


@pytest.mark.parametrize("width", [390, 1100])
def test_the_page_never_scrolls_sideways(visit: Visit, report: Path, width: int) -> None:
    session = visit(report, width=width)
    drawn(session)
    root = "document.documentElement"
    assert session.page.evaluate(f"{root}.scrollWidth") == width
    # A flag stays whole: else it would be broken at its hyphens.
    heights = session.page.evaluate(
        "[...document.querySelectorAll('p code span')].filter(word => "
        "/^-*[a-z]+(-[a-z]+)*$/.test(word.innerText)).map(word => word.offsetHeight)"
    )
    assert heights
    assert max(heights) < 30


def test_dark_mode_changes_page_and_figure_colors(visit: Visit, report: Path) -> None:
    def colours(dark: bool) -> tuple[str, set[str]]:
        session = visit(report, dark=dark)
        drawn(session)
        page = session.page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        texts = session.page.locator("[data-figure] svg text")
        return page, set(texts.evaluate_all("all => all.map(t => t.getAttribute('fill'))"))

    (light_page, light_words), (dark_page, dark_words) = colours(False), colours(True)
    assert light_page != dark_page
    assert light_words
    assert not light_words & dark_words


def test_report_shows_tables_when_scripts_are_disabled(visit: Visit, report: Path) -> None:
    session = visit(report, script=False)
    assert not session.page.locator("[data-figure]").first.is_visible()
    session.page.locator("#learning summary").first.click()
    rows = session.page.locator("#learning table tbody tr")
    assert rows.count() == 2
    assert rows.first.is_visible()
    assert session.errors == []


def test_attention_figure_changes_when_head_is_selected(visit: Visit, report: Path) -> None:
    session = visit(report)
    drawn(session)
    place = session.page.locator("[data-figure]:has(select)")
    before = place.locator("svg").inner_html()
    place.locator("select").select_option(index=1)
    assert place.locator("svg").inner_html() != before


def test_report_escapes_hostile_user_text(
    visit: Visit, tiny: dict[str, object], own_folder: Path, tmp_path: Path
) -> None:
    corpus = own_folder / "<img src=x onerror=hacked=1>.txt"
    corpus.write_text(HOSTILE * 60)
    folder = own_folder / "<script>hacked=1<"
    run(tiny | {"corpus_dir": str(corpus), "save_dir": str(folder), "tokenizer": "char"})
    file = tmp_path / "hostile.html"
    write_report(folder, file)
    session = visit(file)
    assert drawn(session) > 8
    assert session.page.evaluate("typeof hacked") == "undefined"
    assert (session.errors, session.requests) == ([], [file.as_uri()])
    assert session.page.locator("h1").inner_text() == folder.name
    assert "</script>" in session.page.locator("#surprise .shaded_text").first.inner_text()
    # Also where a figure shows it on demand: the words beside the pointer are HTML.
    session.page.locator("[data-figure]:has(select) svg").hover()
    assert session.page.evaluate("typeof hacked") == "undefined"
    assert session.page.locator("img[onerror]").count() == 0


@pytest.mark.parametrize("dark", [False, True])
def test_the_page_is_accessible(visit: Visit, report: Path, dark: bool) -> None:
    session = visit(report, dark=dark, width=390)
    drawn(session)
    assert inaccessible(session) == []
