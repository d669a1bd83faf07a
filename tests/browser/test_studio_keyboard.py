"""The studio by keyboard alone: everything is reached, seen, and done without a pointer."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from ..web.studio_server import RunningStudio, Studios
from .conftest import Visitor, words
from .made_records import write_made_diagnosis, write_made_improvement

pytest.importorskip("fastapi", reason="the extra `studio` is not installed")

SCREENS = {
    "start": ".choice", "run/first": ".chart svg", "runs": "table.runs", "talk/first": "#prompt",
    "inside/first": ".lens li", "diagnosis/first": "#improve-minutes", "learn": ".lesson",
    "learn/rate": ".choice-line", "experiments/compare": "#values-0", "experiments/search": "#from",
    "experiments/attribute": "#side-a", "check/data": ".drop", "check/program": ".kinds",
    "handbook": ".pages button",
}  # fmt: skip
"""Each screen, and a part that is there once it is drawn."""

MARK_REACHABLE = """() => {
  const all = [...document.querySelectorAll(
    "a[href], button, input, select, textarea, summary, [tabindex='0']")];
  const isFirstOfGroup = (e) => e.type !== "radio" || e.checked
    || (!document.querySelector(`[name="${e.name}"]:checked`)
        && document.querySelector(`[name="${e.name}"]`) === e);
  const reachable = all.filter((e) => !e.matches(":disabled") && e.tabIndex >= 0
    && e.checkVisibility() && isFirstOfGroup(e));
  reachable.forEach((e, index) => { e.dataset.walk = index; });
  return reachable.map((e) => `${e.tagName} ${e.id || e.innerText || e.ariaLabel || e.type}`);
}"""
"""Numbers everything that the Tab key should reach; what each is."""

FOCUSED = """() => {
  const e = document.activeElement;
  // The drop zone shows the focus of the invisible input in it.
  const frames = [e, e.closest("label")].filter(Boolean).map((one) => getComputedStyle(one));
  return {
    walk: e.dataset.walk === undefined ? null : Number(e.dataset.walk),
    isSeen: frames.some((style) => style.outlineStyle !== "none" && style.outlineWidth !== "0px"),
  };
}"""


@pytest.fixture
def studio(studios: Studios, tmp_path: Path, trained: Path) -> RunningStudio:
    """A studio over two runs, one with a diagnosis and an improvement."""
    models = tmp_path / "work" / "models"
    models.mkdir(parents=True)
    for name in ("first", "second"):
        shutil.copytree(trained, models / name)
    write_made_diagnosis(models / "first")
    write_made_improvement(tmp_path / "work" / "improvements" / "first", str(models / "first"))
    return studios.start(tmp_path / "work")


def press_tab_until(page: Any, condition: str, limit: int = 120) -> None:
    """Press Tab until the focused element `e` fulfills `condition`, in JavaScript."""
    for _ in range(limit):
        page.keyboard.press("Tab")
        if page.evaluate(f"(() => {{ const e = document.activeElement; return {condition}; }})()"):
            return
    raise AssertionError(f"{limit} times Tab did not reach {condition}")


def press_button(page: Any, name: str) -> None:
    """Tab to the button or link that begins with `name`, and press Enter."""
    press_tab_until(page, f"e.innerText.trim().startsWith({name!r})")
    page.keyboard.press("Enter")


def walk(visitor: Visitor) -> tuple[list[str], list[str]]:
    """Tab through the page: what is never reached, and what is reached but not seen."""
    page = visitor.page
    names = page.evaluate(MARK_REACHABLE)
    page.evaluate("document.activeElement.blur()")
    reached, unseen = set(), []
    for _ in range(len(names) + 25):
        page.keyboard.press("Tab")
        focus = page.evaluate(FOCUSED)
        if focus["walk"] is None:
            continue
        reached.add(focus["walk"])
        if not focus["isSeen"]:
            unseen.append(names[focus["walk"]])
    return [name for index, name in enumerate(names) if index not in reached], unseen


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_tab_reaches_and_shows_everything_on_each_screen(enter: Any, studio: RunningStudio) -> None:
    visitor, missed = enter(studio), {}
    for screen, part in SCREENS.items():
        visitor.go(screen)
        visitor.page.locator(part).first.wait_for()
        if screen == "runs":
            visitor.page.get_by_label("Compare first").check()
            visitor.page.locator(".ticked").wait_for()
        missed[screen] = walk(visitor)
    assert missed == {screen: ([], []) for screen in SCREENS}


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_runs_are_compared_deleted_and_restored_by_keyboard(
    enter: Any, studio: RunningStudio
) -> None:
    page = enter(studio).page
    press_button(page, "Runs")
    page.get_by_label("Compare second").wait_for()
    press_tab_until(page, "e.innerText.startsWith('Bits per byte')")
    page.keyboard.press("Enter")
    assert page.locator("#order").input_value() == "bits_per_byte"
    for name in ("first", "second"):
        press_tab_until(page, f"e.ariaLabel === 'Compare {name}'")
        page.keyboard.press("Space")
    press_button(page, "Show side by side")
    assert page.evaluate("document.activeElement.id") == "compare-title"
    press_button(page, "Delete 2 runs")
    page.get_by_role("heading", name="No run yet").wait_for()
    press_button(page, "Undo")
    page.get_by_label("Compare second").wait_for()


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_another_token_is_chosen_by_keyboard(enter: Any, studio: RunningStudio) -> None:
    page = enter(studio).page
    page.goto(f"{studio.address}/#/talk/first")
    page.locator("#prompt").wait_for()
    press_tab_until(page, "e.id === 'prompt'")
    page.keyboard.press("ControlOrMeta+A")
    page.keyboard.type("The cat")
    press_button(page, "Write on")
    page.locator(".answer .token").nth(2).wait_for()
    page.get_by_role("button", name="Write on").wait_for()  # done
    press_tab_until(page, "e.classList.contains('token')")
    page.keyboard.press("ArrowRight")
    press_tab_until(page, "e.closest('.popover')")
    word = words(page.locator(".popover button").first)
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Write on").wait_for()
    assert words(page.locator(".answer .token").nth(1)) in word


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_training_and_improvement_are_started_and_stopped_by_keyboard(
    enter: Any, studio: RunningStudio
) -> None:
    page = enter(studio).page
    page.goto(f"{studio.address}/#/diagnosis/first")
    page.locator("#improve-minutes").wait_for()
    press_tab_until(page, "e.id === 'improve-minutes'")
    page.keyboard.press("ArrowDown")
    press_button(page, "Improve")
    page.get_by_text("You can close this page").wait_for()
    press_button(page, "Stop and keep the best")
    page.locator("#improve-minutes").wait_for()
    page.goto(f"{studio.address}/#/start")
    page.locator(".choice").first.wait_for()
    press_button(page, "stories")
    press_tab_until(page, "e.id === 'minutes'")
    page.keyboard.press("Home")
    assert words(page.locator(".dial output")) == "1 min"
    press_button(page, "Train")
    page.get_by_role("heading", name="stories-1").wait_for()
    press_tab_until(page, "['Stop', 'Cancel'].includes(e.innerText)")
    page.keyboard.press("Enter")
    page.get_by_text("It saves and stops.").wait_for()
