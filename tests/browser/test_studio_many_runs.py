"""Forty runs: order, search by a setting, and what ticked runs offer, wherever the list stands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ..web.studio_server import RunningStudio, Studios
from .conftest import words
from .made_records import write_many_runs

pytest.importorskip("fastapi", reason="the extra `studio` is not installed")


@pytest.fixture
def sweep(studios: Studios, tmp_path: Path, trained: Path) -> RunningStudio:
    """A studio over forty runs that differ in rate and batch size."""
    write_many_runs(trained, tmp_path / "work" / "models", 40)
    return studios.start(tmp_path / "work")


def first_names(page: Any, count: int) -> list[str]:
    return list(page.locator("table.runs tbody .name a").all_inner_texts()[:count])


def test_list_is_ordered_by_its_heads_and_searched_by_settings(
    enter: Any, sweep: RunningStudio
) -> None:
    page = enter(sweep).page
    page.goto(f"{sweep.address}/#/runs")
    page.locator("table.runs tbody tr").nth(39).wait_for()
    assert first_names(page, 2) == ["sweep-40", "sweep-39"]
    page.get_by_role("button", name="Bits per byte").click()
    values = page.locator("td[data-label='Bits per byte']").all_inner_texts()
    assert values == sorted(values, key=float)
    assert page.locator("th[aria-sort]").get_attribute("aria-sort") == "ascending"
    assert words(page.locator("th[aria-sort]")).startswith("Bits per byte")
    page.get_by_role("button", name="Bits per byte").click()
    values = page.locator("td[data-label='Bits per byte']").all_inner_texts()
    assert values == sorted(values, key=float, reverse=True)
    assert page.locator("th[aria-sort]").get_attribute("aria-sort") == "descending"
    page.get_by_role("button", name="Name").click()
    assert first_names(page, 3) == ["sweep-1", "sweep-2", "sweep-3"]
    assert "learning_rate=0.0006 batch_size=8" in words(page.locator("table.runs .name").first)
    page.fill("#search", "learning_rate=0.0024 batch_size=16")
    assert first_names(page, 9) == ["sweep-8", "sweep-23", "sweep-38"]


def test_bad_run_is_marked_in_the_list(enter: Any, sweep: RunningStudio, trained: Path) -> None:
    record = json.loads((trained / "summary.json").read_text())
    record.pop("sha256")  # an edited one has none
    nothing = record["ngram_baselines"]["unigram"]
    record |= {"validation_loss": nothing, "bits_per_byte": 9.0}
    for epoch in record["epochs"]:
        epoch["validation_loss"] = nothing
    (sweep.folder / "models" / "sweep-17" / "summary.json").write_text(json.dumps(record))
    page = enter(sweep).page
    page.goto(f"{sweep.address}/#/runs")
    page.get_by_text("learned almost nothing").wait_for()
    page.fill("#search", "almost nothing")
    assert first_names(page, 9) == ["sweep-17"]


@pytest.mark.parametrize("width", [390, 1280])
def test_ticked_runs_are_compared_from_any_place_in_the_list(
    enter: Any, sweep: RunningStudio, width: int
) -> None:
    page = enter(sweep, width=width).page
    page.goto(f"{sweep.address}/#/runs")
    page.get_by_label("Compare sweep-40").check()
    page.get_by_label("Compare sweep-39").check()
    show = page.get_by_role("button", name="Show side by side")
    assert show.evaluate("e => e.getBoundingClientRect().bottom <= innerHeight")
    show.click()
    title = page.locator("#compare-title")
    page.wait_for_function(
        "() => { const box = document.querySelector('#compare-title').getBoundingClientRect();"
        " return box.top >= 0 && box.bottom <= innerHeight; }"
    )
    assert title.evaluate("e => e === document.activeElement")
    page.locator("tr.differs").first.wait_for()
    page.get_by_role("button", name="Untick all").click()
    assert page.locator("#compare-title").count() == 0


def test_setting_in_a_search_has_to_be_whole(enter: Any, sweep: RunningStudio) -> None:
    record = json.loads((sweep.folder / "models" / "sweep-8" / "run.json").read_text())
    for key in ("requested_config", "resolved_config"):
        record[key]["learning_rate"] = 0.00241
    (sweep.folder / "models" / "sweep-8" / "run.json").write_text(json.dumps(record))
    page = enter(sweep).page
    page.goto(f"{sweep.address}/#/runs")
    page.locator("table.runs tbody tr").nth(39).wait_for()
    page.locator("#order").select_option("name")
    page.fill("#search", "learning_rate=0.0024 batch_size=16")
    page.get_by_text("2 of 40 runs").wait_for()
    assert first_names(page, 9) == ["sweep-23", "sweep-38"]
    page.fill("#search", "learning_rate=0.002")  # no run has it: it is still being typed
    page.get_by_text("8 of 40 runs").wait_for()


def test_many_runs_are_ticked_deleted_and_restored_together(
    enter: Any, sweep: RunningStudio
) -> None:
    visitor = enter(sweep)
    page = visitor.page
    page.goto(f"{sweep.address}/#/runs")
    page.fill("#search", "batch_size=16")
    page.get_by_text("of 40 runs").wait_for()
    count = page.locator("table.runs tbody tr").count()
    page.get_by_label("Tick all in the list").check()
    page.get_by_text(f"{count} runs ticked, the first 8 are drawn").wait_for()
    page.locator("tr.differs").first.wait_for()
    assert page.locator("section[aria-labelledby='compare-title'] thead .swatch").count() == 8
    page.get_by_role("button", name=f"Delete {count} runs").click()
    page.get_by_text(f"{count} runs are in the trash").wait_for()
    page.fill("#search", "")
    page.get_by_text(f"{40 - count} runs").wait_for()
    page.get_by_role("button", name="Undo").click()
    page.get_by_text("40 runs").wait_for()
    assert visitor.errors == []
