"""Experiments, checks, and what else can be done with a run, in a real browser."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from descend.artifacts import ATTRIBUTION_FILE, COMPARISON_FILE, SEARCH_FILE
from descend.experiments.experiment_folder import write_record

from ..web.studio_server import RunningStudio, Studios
from .conftest import Visitor, broken_rules, take_pictures, words
from .layout import overlaps
from .test_experiments import record

pytest.importorskip("fastapi", reason="the extra `studio` is not installed")

CUT_COLUMNS = """() => {
  const box = document.querySelector("table.runs").closest(".scroll");
  const ends = [...document.querySelectorAll("table.runs th")].map((head) =>
    head.getBoundingClientRect().right);
  return ends.filter((end) => end > box.getBoundingClientRect().right + 1);
}"""
"""Right ends of the columns that one has to scroll to."""

HOSTILE = '<img src=x onerror="hacked=1">'


@pytest.fixture
def studio(studios: Studios, tmp_path: Path, trained: Path) -> RunningStudio:
    """A studio over two runs, and three finished experiments."""
    folder = tmp_path / "work"
    for name in ("first", "second"):
        shutil.copytree(trained, folder / "models" / name)
    for kind, name, file in (
        ("attribution", "attribute-1", ATTRIBUTION_FILE), ("search", "search-1", SEARCH_FILE),
        ("comparison", "compare-1", COMPARISON_FILE),
    ):  # fmt: skip
        (folder / "experiments" / name).mkdir(parents=True)
        write_record(folder / "experiments" / name, file, record(kind))
    return studios.start(folder)


def sideways(visitor: Visitor) -> bool:
    return bool(visitor.page.evaluate("document.documentElement.scrollWidth > innerWidth"))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_finished_experiments_have_intervals(enter: Any, studio: RunningStudio) -> None:
    visitor = enter(studio)
    page = visitor.page
    for name, part in (("compare-1", "95 % interval"), ("search-1", "How much each setting"),
                       ("attribute-1", "What each change brings")):  # fmt: skip
        visitor.go(f"experiments/{name}")
        page.get_by_text(part).first.wait_for()
        page.locator(".chart svg").first.wait_for()
        page.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
        assert broken_rules(visitor) == [], name
        take_pictures(visitor, f"experiment-{name}")
        page.set_viewport_size({"width": 390, "height": 844})
        assert not sideways(visitor), name
        page.set_viewport_size({"width": 1280, "height": 900})
    visitor.go("experiments")
    page.locator(".experiment-list li").nth(2).wait_for()
    assert broken_rules(visitor) == []
    assert visitor.errors == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_comparison_of_a_run_streams_its_trainings_to_a_verdict(
    enter: Any, studio: RunningStudio
) -> None:
    visitor = enter(studio)
    page = visitor.page
    visitor.go("experiments/compare")
    page.locator("#from").select_option("run:first")
    page.locator("#each").select_option("0")
    page.locator("#seeds").select_option("2")
    page.locator("#values-0").fill("0.001")
    assert page.get_by_role("button", name="Compare", exact=True).is_disabled()
    page.locator("#values-0").fill("0.0005, 0.02")
    assert "4 trainings" in words(page.locator("form"))
    page.get_by_role("button", name="Compare", exact=True).click()
    page.get_by_text("trainings have ended").wait_for()
    page.get_by_text("so far").first.wait_for()
    page.reload()  # it goes on without the page
    page.get_by_role("button", name="Download the report").wait_for()
    assert words(page.locator("main h1")) == "learning_rate (2 configurations)"
    rows = page.locator("table").first.locator("tbody tr")
    assert rows.count() == 2
    assert "to" in words(rows.nth(1).locator('[data-label="95 % interval"]'))
    with page.expect_download() as started:
        page.get_by_role("button", name="Download the report").click()
    assert started.value.suggested_filename == "compare-2.html"
    assert b"<html" in Path(started.value.path()).read_bytes()[:2000]
    assert visitor.errors == []


def test_data_is_checked_where_it_is_dropped(enter: Any, studio: RunningStudio) -> None:
    visitor = enter(studio)
    page = visitor.page
    visitor.go("check/data")
    page.get_by_text("There is no file yet").wait_for()
    lines = [json.dumps({"messages": [
        {"role": "user", "content": HOSTILE}, {"role": "assistant", "content": "An answer."},
    ]})] * 2  # fmt: skip
    content = "\n".join([*lines, HOSTILE]).encode()
    page.locator('input[type="file"]').set_input_files(
        {"name": "chats.jsonl", "mimeType": "text/plain", "buffer": content}
    )
    page.get_by_role("button", name="Check", exact=True).click()
    page.locator(".finding").nth(1).wait_for()
    assert "2 problems in 2 examples" in words(page.locator("main h2").last)
    assert "Line 3" in words(page.locator(".finding").first)
    assert broken_rules(visitor) == []
    assert page.evaluate("window.hacked") is None
    visitor.go("check/program")
    page.get_by_text("No program is taken from the page").wait_for()
    assert page.locator('input[type="file"]').count() == 0
    assert visitor.errors == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_run_is_reported_exported_and_measured_on_its_page(
    enter: Any, studio: RunningStudio
) -> None:
    visitor = enter(studio)
    page = visitor.page
    visitor.go("run/first")
    page.locator(".tools").wait_for()
    for title in ("Checklist", "What would more", "Measure it", "Export it"):
        page.locator(".tools summary", has_text=title).click()
    page.locator(".rules li").nth(4).wait_for()
    page.locator("#export-format").select_option("safetensors")
    page.get_by_role("button", name="Export", exact=True).click()
    with page.expect_download() as started:
        page.get_by_role("link", name="model.safetensors").click()
    weights = studio.folder / "exports" / "first-safetensors" / "model.safetensors"
    assert Path(started.value.path()).read_bytes() == weights.read_bytes()
    page.get_by_role("button", name="Forecast").click()
    page.locator(".tools table tbody tr").first.wait_for()
    page.get_by_role("button", name="Measure", exact=True).click()
    page.get_by_text("Accuracy on stories").wait_for()
    with page.expect_download() as started:
        page.get_by_role("button", name="Download the report").click()
    assert started.value.suggested_filename == "first.html"
    assert broken_rules(visitor) == []
    assert "`descend " not in page.locator(".tools").inner_text()
    assert visitor.errors == []


def test_handbook_is_searched_and_opened(enter: Any, studio: RunningStudio) -> None:
    visitor = enter(studio)
    page = visitor.page
    visitor.go("handbook")
    page.locator("#page-search").fill("learning rate is too")
    links = page.locator(".pages button")
    assert links.count() == 2
    links.first.click()
    page.locator("dialog h3").first.wait_for()
    assert broken_rules(visitor) == []
    assert visitor.errors == []


def test_each_run_is_one_line_of_the_list(enter: Any, studio: RunningStudio) -> None:
    note = "A long note about what was tried here, and why it did not help as it should. " * 3
    for name in ("first", "second"):
        body = {"tags": ["class 9b", "sweep"], "note": note}
        assert studio.ask("PUT", f"/runs/{name}/annotation", body)[0] == 200
    (studio.folder / "models" / "second" / "model.safetensors").unlink()
    visitor = enter(studio)
    page = visitor.page
    visitor.go("runs")
    page.locator(".state.model-lost").wait_for()
    page.locator("table.runs tbody tr").nth(1).wait_for()
    for width in (1280, 1920):
        page.set_viewport_size({"width": width, "height": 900})
        boxes = [row.bounding_box() for row in page.locator("table.runs tbody tr").all()]
        letter = page.evaluate("parseFloat(getComputedStyle(document.documentElement).fontSize)")
        assert max(box["height"] for box in boxes) <= 2.8 * letter, (width, boxes)
        assert page.evaluate(CUT_COLUMNS) == [], width
        assert not sideways(visitor)
    cells = [cell.bounding_box() for cell in page.locator("table.runs tbody tr").first
             .locator("td").all()]  # fmt: skip
    edges = [[b["x"], b["y"], b["x"] + b["width"], b["y"] + b["height"]] for b in cells]
    pairs = itertools.pairwise(edges)
    assert not any(overlaps(one, other) for one, other in pairs)
    page.set_viewport_size({"width": 390, "height": 844})
    assert not sideways(visitor)
