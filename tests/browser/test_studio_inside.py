"""Look inside, two models in a talk, tags, families, and folders: in a real browser.

With STUDIO_SCREENSHOTS set to a folder, `test_pictures_of_each_screen` writes pictures there. It
shows the run that STUDIO_SHOWN_RUN names, else a tiny one.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from descend.runs.annotation import RunAnnotation, write_annotation

from ..web.studio_server import RunningStudio, Studios
from .conftest import Visitor, broken_rules, take_pictures

pytest.importorskip("fastapi", reason="the extra `studio` is not installed")

SENTENCE = "The cat sleeps on the mat."


@pytest.fixture
def with_family(studios: Studios, tmp_path: Path, trained: Path) -> RunningStudio:
    """A studio over a run, one that improved it, and a third that nobody is related to."""
    models = tmp_path / "work" / "models"
    models.mkdir(parents=True)
    source = Path(os.environ.get("STUDIO_SHOWN_RUN") or trained)
    for name in ("stories-1", "stories-2", "stories-3"):
        shutil.copytree(source, models / name)
    write_annotation(models / "stories-1", RunAnnotation(["class 9b", "first try"], "Our first."))
    write_annotation(models / "stories-2", RunAnnotation(["class 9b"], "", "stories-1"))
    return studios.start(tmp_path / "work")


def open_inside(visitor: Visitor, name: str = "stories-1") -> Any:
    """The page, with the sentence read by the finished model."""
    visitor.go(f"inside/{name}")
    page = visitor.page
    page.fill("#sentence", SENTENCE)
    page.locator(".tokens button", has_text="cat").wait_for()
    page.locator(".lens li").first.wait_for()
    return page


def mean_surprise(page: Any) -> float:
    """The mean that the page shows."""
    page.locator(".moment [aria-busy=false]").first.wait_for()
    return float(page.locator(".legend strong").first.inner_text())


@pytest.mark.slow
def test_slider_goes_back_to_the_untrained_model(enter: Any, with_family: RunningStudio) -> None:
    visitor = enter(with_family)
    page = open_inside(visitor)
    trained_surprise = mean_surprise(page)
    slider = page.get_by_role("slider")
    assert slider.get_attribute("aria-valuetext").startswith("the finished model")
    slider.focus()
    page.keyboard.press("Home")
    page.get_by_text("before training").first.wait_for()
    page.wait_for_function(
        "before => Number(document.querySelector('.legend strong').innerText) > before + 1",
        arg=trained_surprise,
    )
    page.get_by_role("button", name="Play").click()
    page.get_by_text("the finished model").first.wait_for()
    page.get_by_role("button", name="Play").wait_for()
    assert abs(mean_surprise(page) - trained_surprise) < 0.01
    assert visitor.errors == []


def test_head_is_picked_and_switched_off_by_keyboard(
    enter: Any, with_family: RunningStudio
) -> None:
    page = open_inside(enter(with_family))
    before = mean_surprise(page)
    page.locator(".tokens button[tabindex='0']").focus()
    page.keyboard.press("ArrowRight")
    focused = page.evaluate("document.activeElement.getAttribute('aria-pressed')")
    assert focused == "true"
    page.locator(".headbutton[tabindex='0']").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Layer 2, head 1").wait_for()
    page.get_by_role("button", name="Switch the whole layer off").focus()
    page.keyboard.press("Enter")
    page.get_by_text("all of layer 2").wait_for()
    page.get_by_text("Its mean surprise goes from").wait_for()
    page.wait_for_function(
        "before => document.querySelector('.legend strong').innerText !== before",
        arg=f"{before:.2f}",
    )
    page.get_by_role("button", name="Switch it on again").click()
    page.wait_for_function(
        "before => document.querySelector('.legend strong').innerText === before",
        arg=f"{before:.2f}",
    )


@pytest.mark.slow
def test_two_moments_stand_side_by_side(enter: Any, with_family: RunningStudio) -> None:
    page = open_inside(enter(with_family))
    page.get_by_role("button", name="Two moments side by side").click()
    page.get_by_role("region", name="Earlier").locator(".lens li").first.wait_for()
    page.get_by_role("region", name="Later").locator(".lens li").first.wait_for()
    page.get_by_role("region", name="Earlier").get_by_role("slider").focus()
    page.keyboard.press("Home")
    page.get_by_role("region", name="Earlier").get_by_text("before training").first.wait_for()
    # Both show the token that is chosen in one of them.
    page.get_by_role("region", name="Later").locator(".tokens button").nth(3).click()
    chosen = page.locator(".tokens button[aria-pressed='true']").all_inner_texts()
    assert len(chosen) == 2
    assert chosen[0] == chosen[1]


def test_run_without_snapshots_says_so(enter: Any, with_family: RunningStudio) -> None:
    shutil.rmtree(with_family.folder / "models" / "stories-3" / "snapshots")
    page = open_inside(enter(with_family), "stories-3")
    page.get_by_text("This run kept only its newest checkpoints.").wait_for()


def test_hostile_sentence_appears_as_text(enter: Any, with_family: RunningStudio) -> None:
    page = open_inside(enter(with_family))
    hostile = '<img src=x onerror="window.hacked=1">'
    page.fill("#sentence", hostile)
    page.wait_for_function(
        "() => [...document.querySelectorAll('.tokens button')].map((b) => b.innerText).join('')"
        ".includes('<img')"
    )
    text = "".join(page.locator(".tokens button").all_inner_texts())
    assert "<img" in text.replace(" ", "")
    assert page.evaluate("window.hacked") is None


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_new_screens_are_accessible(enter: Any, with_family: RunningStudio) -> None:
    visitor, faults = enter(with_family), list[tuple[str, ...]]()
    page = open_inside(visitor)
    page.get_by_text("Measuring what the parts are worth").wait_for(state="detached")
    page.get_by_role("button", name="Switch this head off").click()
    page.get_by_text("With it the model would write").wait_for()
    faults += [("inside", *rule) for rule in broken_rules(visitor)]
    page.get_by_role("button", name="Two moments side by side").click()
    page.get_by_role("region", name="Earlier").locator(".lens li").first.wait_for()
    faults += [("inside two", *rule) for rule in broken_rules(visitor)]
    visitor.go("runs")
    page.locator(".family").wait_for()
    faults += [("runs", *rule) for rule in broken_rules(visitor)]
    visitor.go("run/stories-1")
    page.get_by_label("Note").wait_for()
    faults += [("run", *rule) for rule in broken_rules(visitor)]
    talk_to_two(visitor)
    faults += [("talk", *rule) for rule in broken_rules(visitor)]
    assert faults == []
    assert visitor.errors == []


@pytest.mark.parametrize("width", [390, pytest.param(1280, marks=pytest.mark.slow), 3840])
def test_new_screens_never_scroll_sideways(
    enter: Any, with_family: RunningStudio, width: int
) -> None:
    visitor = enter(with_family, width=width)
    page = open_inside(visitor)
    page.get_by_role("button", name="Two moments side by side").click()
    page.get_by_role("region", name="Earlier").locator(".lens li").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    talk_to_two(visitor)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    visitor.go("runs")
    page.locator(".family").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == width


def talk_to_two(visitor: Visitor) -> None:
    """Let two models go on with one text."""
    visitor.go("talk/stories-1")
    page = visitor.page
    page.select_option("#other", "stories-2")
    page.fill("#prompt", "The cat")
    page.get_by_role("button", name="Write on").click()
    page.get_by_role("group", name="stories-2").get_by_text("It wrote").wait_for()
    page.get_by_role("button", name="Write on").wait_for()


@pytest.mark.slow
def test_two_models_answer_side_by_side(enter: Any, with_family: RunningStudio) -> None:
    visitor = enter(with_family)
    talk_to_two(visitor)
    page = visitor.page
    for name in ("stories-1", "stories-2"):
        assert page.get_by_role("group", name=name).locator(".token").count() > 5
    second = page.get_by_role("group", name="stories-2")
    first_text = page.get_by_role("group", name="stories-1").locator(".answer").inner_text()
    second.locator(".token").nth(1).click()
    second.locator(".popover button").nth(3).click()
    page.get_by_role("button", name="Write on").wait_for()
    assert page.get_by_role("group", name="stories-1").locator(".answer").inner_text() == first_text
    page.get_by_role("button", name="Take turns").click()
    page.fill("#line", "The cat")
    page.get_by_role("button", name="Send").click()
    page.get_by_role("button", name="New talk").wait_for()
    page.get_by_role("button", name="Send").wait_for()
    assert page.locator(".turn:not(.mine)").count() == 2


def test_tags_are_saved_and_searched(enter: Any, with_family: RunningStudio) -> None:
    page = enter(with_family).page
    page.goto(f"{with_family.address}/#/run/stories-3")
    page.get_by_text("Tags and note").click()
    page.fill("#tags", "long one,  for Ada ")
    page.fill("#note", "Look at the third epoch.")
    page.get_by_role("button", name="Save").click()
    page.locator(".tag", has_text="for Ada").wait_for()
    page.goto(f"{with_family.address}/#/runs")
    page.fill("#search", "third epoch")
    page.locator("table.cards tbody tr").first.wait_for()
    assert page.locator("table.cards tbody tr").count() == 1
    assert "for Ada" in page.locator("table.cards tbody tr").inner_text()


def test_family_shows_who_comes_from_whom(enter: Any, with_family: RunningStudio) -> None:
    page = enter(with_family).page
    page.goto(f"{with_family.address}/#/runs")
    page.locator(".family").wait_for()
    tree = page.locator(".family")
    assert tree.locator("li li").inner_text().startswith("stories-2")
    assert "as good as before" in tree.inner_text()
    assert "stories-3" not in tree.inner_text()


@pytest.mark.timeout(900)
def test_folder_is_dropped_and_its_tokens_are_colored(
    enter: Any, with_family: RunningStudio, tmp_path: Path, text_file: Path
) -> None:
    folder = tmp_path / "animals"
    (folder / "deep").mkdir(parents=True)
    content = text_file.read_text()
    (folder / "one.txt").write_text(content[:6000])
    (folder / "deep" / "two.txt").write_text(content[6000:])
    (folder / ".hidden").write_text("secret")
    page = enter(with_family).page
    page.goto(f"{with_family.address}/#/start")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose a folder").click()
    chooser.value.set_files(str(folder))
    page.get_by_role("button", name="animals 2 files").wait_for()
    page.locator(".excerpt .t").nth(100).wait_for()
    stored = sorted(p.name for p in (with_family.folder / "texts" / "animals").iterdir())
    assert stored == ["deep - two.txt", "one.txt"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_pictures_of_each_screen(enter: Any, with_family: RunningStudio) -> None:
    visitor = enter(with_family)
    visitor.go("inside/stories-1")
    page = visitor.page
    page.locator(".lens li").first.wait_for()
    page.get_by_text("Measuring what the parts are worth").wait_for(state="detached")
    page.locator(".tokens button").nth(6).click()
    page.locator(".near li").first.wait_for()
    take_pictures(visitor, "studio-inside")
    page.get_by_role("button", name="Two moments side by side").click()
    page.get_by_role("region", name="Earlier").locator(".lens li").first.wait_for()
    page.wait_for_timeout(2000)
    take_pictures(visitor, "studio-inside-two")
    talk_to_two(visitor)
    take_pictures(visitor, "studio-talk-two")
    visitor.go("runs")
    page.locator(".family").wait_for()
    page.get_by_label("Compare stories-1").check()
    page.get_by_label("Compare stories-2").check()
    page.locator(".chart svg").wait_for()
    take_pictures(visitor, "studio-family")
    visitor.go("start")
    page.get_by_role("button", name="stories").first.click()
    page.locator(".excerpt .t").nth(100).wait_for()
    take_pictures(visitor, "studio-start")
