"""Pictures of every screen: light and dark, on a desktop, on a phone, and on a very wide screen.

They show real runs: those of the workspace that STUDIO_SHOWN_WORKSPACE names, else tiny ones that
are trained first. With STUDIO_SCREENSHOTS set to a folder they are written there, else into the
folder of the test. Those of the documentation:

    python tests/browser/shown_workspace.py WORKSPACE
    STUDIO_SCREENSHOTS=docs/images/studio STUDIO_SHOWN_WORKSPACE=WORKSPACE \\
        python -m pytest tests/browser/test_studio_pictures.py
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ..web.studio_server import TINY_SETTINGS, RunningStudio, Studios
from .conftest import SECONDS, SHOTS, Visitor
from .shown_workspace import Workspace, made_text, make_workspace
from .test_studio_improve import MAX_WAIT, improve_minutes

pytest.importorskip("fastapi", reason="the extra `studio` is not installed")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

VIEWS = {
    "desktop-light": (1280, 900), "desktop-dark": (1280, 900), "phone-light": (390, 844),
    "phone-dark": (390, 844),
}  # fmt: skip
WIDE = (3840, 2160)
LIVE_SECONDS = 300.0
"""About how long the run trains that is seen live: longer than its pictures take."""
MAX_BYTES, MAX_ALL_BYTES = 100_000, 1_700_000

TO_WEBP = """async (png) => {
  const image = new Image();
  image.src = `data:image/png;base64,${png}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = image.width;
  canvas.height = image.height;
  canvas.getContext("2d").drawImage(image, 0, 0);
  return canvas.toDataURL("image/webp", 0.55).split(",")[1];
}"""

CUT = """() => [...document.querySelectorAll("main :is(button, a, h1, h2, dd, label)")]
  .filter((e) => e.checkVisibility() && !e.matches(".hidden-label, .token, .piece")
    && e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflowX === "hidden")
  .map((e) => e.innerText)"""
"""Words that their box cuts off."""


@pytest.fixture
def studio(studios: Studios, tmp_path: Path) -> RunningStudio:
    """A studio over real runs of a sweep, and a slow one that is diagnosed and improved."""
    folder = tmp_path / "work"
    if made := os.environ.get("STUDIO_SHOWN_WORKSPACE"):
        shutil.copytree(made, folder, symlinks=True)
    else:
        text = folder / "texts" / "nouns.txt"
        text.parent.mkdir(parents=True)
        text.write_bytes(made_text())
        large = TINY_SETTINGS | {"max_steps": 200, "learning_rate": 0.003}
        small = {key: value for key, value in TINY_SETTINGS.items() if key != "batch_size"}
        make_workspace(folder, Workspace(
            name="nouns", corpus=str(text), large=large, small=small | {"max_steps": 40},
            num_small=12, minutes=improve_minutes(),
        ))  # fmt: skip
    (folder / "checks").mkdir()
    (folder / "checks" / "chats.jsonl").write_text(made_chats())
    return studios.start(folder)


def made_chats() -> str:
    """Fine-tuning data with a duplicate, a broken line, and an answer that is cut off."""
    answers = ["An answer.", "Another answer.", "An answer that ends in the", "An answer."]
    lines = [
        json.dumps({"messages": [
            {"role": "user", "content": f"Question {number % 3}?"},
            {"role": "assistant", "content": answer},
        ]}) for number, answer in enumerate(answers)
    ]  # fmt: skip
    return "\n".join([*lines, '{"messages": [{"role": "user"'])


def example_runs(studio: RunningStudio) -> tuple[str, str]:
    """Names of the run that was diagnosed and improved, and of the best of the largest ones."""
    slow = next(path.name for path in (studio.folder / "improvements").iterdir())
    rows = [row for row in studio.ask("GET", "/runs")[1]["runs"] if row["bits_per_byte"]]
    good = max(rows, key=lambda row: (row["parameters"], -row["bits_per_byte"]))
    return slow, good["name"]


def start_live_run(studio: RunningStudio, like: str) -> str:
    """Start a run with the network of the run `like`, once it trains; its name.

    One that would end too soon, on a machine that has more time than for the run `like`, is
    started again with more steps.
    """
    details = studio.ask("GET", f"/runs/{like}")[1]
    settings = {key: details["resolved_config"][key] for key in TINY_SETTINGS}
    steps = LIVE_SECONDS * details["num_steps"] / details["summary"]["seconds"]
    while True:
        body = {"text": details["text"], "settings": settings | {"max_steps": round(steps)}}
        name = str(studio.ask("POST", "/runs", body)[1]["run"])
        seconds = seconds_of_run(studio, name)
        if seconds > LIVE_SECONDS / 2:
            return name
        end_live_run(studio, name)
        steps *= LIVE_SECONDS / seconds


def seconds_of_run(studio: RunningStudio, name: str) -> float:
    """About how long the run `name` trains, once that is known."""
    details = studio.wait_for_state(name, "running", "finished", seconds=MAX_WAIT / SECONDS)
    while details["state"] == "running":
        progress = details["progress"]
        if progress and progress["seconds_left"] is not None and progress["fraction"] > 0.02:
            return float(progress["seconds_left"] / (1 - progress["fraction"]))
        time.sleep(0.5)
        details = studio.ask("GET", f"/runs/{name}")[1]
    return float(details["summary"]["seconds"])


def end_live_run(studio: RunningStudio, name: str) -> None:
    """End the run `name`, and leave nothing of it in the list."""
    studio.ask("POST", f"/runs/{name}/stop")
    studio.wait_for_state(name, "stopped", "finished", seconds=MAX_WAIT / SECONDS)
    studio.ask("DELETE", f"/runs/{name}")


def show_start(page: Any) -> None:
    page.get_by_role("button", name="stories").first.click()
    page.locator(".excerpt .t").nth(100).wait_for()
    plan, problem = page.get_by_text("Expected result"), page.locator(".note.bad")
    plan.or_(problem).first.wait_for()
    while problem.is_visible() and "Give more minutes" in problem.inner_text():  # a busy machine
        page.locator("#minutes").press("ArrowRight")
        problem.wait_for(state="detached")
        plan.or_(problem).first.wait_for()
    assert plan.is_visible(), problem.inner_text()


def show_live(page: Any) -> None:
    page.locator(".samples li").nth(1).wait_for()
    page.get_by_text("with 80 % certainty").wait_for()
    with suppress(playwright.TimeoutError):
        page.wait_for_function(
            "() => document.querySelector('.progress').ariaValueNow >= 30",
            timeout=LIVE_SECONDS / 2 * SECONDS,
        )
    page.get_by_role("button", name="Pause").wait_for()


def show_paused(page: Any) -> None:
    page.get_by_role("button", name="Pause").click()
    page.locator(".state.paused").wait_for()
    page.get_by_role("button", name="Resume").wait_for()
    page.locator(".toast").wait_for(state="detached")


def show_runs(page: Any) -> None:
    page.get_by_label("Compare sweep-3", exact=True).check()
    page.get_by_label("Compare sweep-9", exact=True).check()
    page.locator("tr.differs").first.wait_for()
    page.locator(".chart svg").wait_for()


def show_talk(page: Any) -> None:
    page.get_by_role("button", name="Write on").click()
    page.locator(".answer .token").nth(30).wait_for()
    page.get_by_role("button", name="Write on").wait_for()  # done


def show_inside(page: Any) -> None:
    page.locator(".lens li").first.wait_for()
    page.get_by_text("Measuring what the parts are worth").wait_for(state="detached")
    page.locator(".tokens button").nth(4).click()
    page.locator(".near li").first.wait_for()


def show_experiment(page: Any) -> None:
    page.locator(".chart svg").first.wait_for()


def show_check(page: Any) -> None:
    page.get_by_role("button", name="Check", exact=True).click()
    page.locator(".finding").nth(1).wait_for()


def show_improve(page: Any) -> None:
    page.get_by_text("The models, one after the other").wait_for()


def to_top(page: Any) -> None:
    page.evaluate("scrollTo(0, 0)")


def to_improvement(page: Any) -> None:
    page.evaluate("document.querySelector('#improve-title').closest('section').scrollIntoView()")
    page.evaluate("scrollBy(0, -80)")


def open_token(page: Any) -> None:
    to_top(page)
    page.keyboard.press("Escape")
    page.locator(".answer .token").nth(8).click()


Screens = Mapping[str, tuple[str, Callable[[Any], Any]]]

LIVE_SCREENS: Screens = {"run": ("run/LIVE", show_live), "paused": ("run/LIVE", show_paused)}
SCREENS: Screens = {
    "runs": ("runs", show_runs),
    "bad-run": ("run/SLOW", lambda page: page.locator(".warn-card").wait_for()),
    "diagnosis": ("diagnosis/SLOW", lambda page: page.locator(".range").first.wait_for()),
    "improve": ("diagnosis/SLOW", show_improve),
    "experiment": ("experiments/compare-1", show_experiment),
    "check": ("check/data", show_check),
    "learn": ("learn", lambda page: page.locator(".lesson").first.wait_for()),
    "lesson": ("learn/rate", lambda page: page.locator(".choice-line").first.wait_for()),
    "talk": ("talk/GOOD", show_talk),
    "inside": ("inside/GOOD", show_inside),
    "start": ("start", show_start),
}
NOT_PICTURED = ("paused",)
"""Looked at, and left out of the documentation."""

ARRANGE: Mapping[str, Callable[[Any], Any]] = {"improve": to_improvement, "talk": open_token}
"""What is done to a screen when its window changed."""


def look_at(
    visitor: Visitor, screens: Screens, runs: Mapping[str, str], folder: Path
) -> list[tuple[str, ...]]:
    """Open each of `screens` once, look at it in each view, and return faults."""
    page, encoder, faults = visitor.page, visitor.context.new_page(), list[tuple[str, ...]]()
    page.bring_to_front()  # one behind another may not draw
    for name, (place, show) in screens.items():
        set_view(page, next(iter(VIEWS)))
        screen, _, run = place.partition("/")
        visitor.go(f"{screen}/{runs.get(run, run)}")
        page.mouse.move(0, 0)  # where the last click was, nothing is pointed at
        show(page)
        for view in VIEWS if screens is SCREENS else (*VIEWS, "wide"):
            set_view(page, view)
            ARRANGE.get(name, to_top)(page)
            take_picture(visitor, encoder, folder / f"{name}-{view}.webp")
            faults += [(name, view, text) for text in page.evaluate(CUT)]
            if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                faults.append((name, view, "scrolls sideways"))
        if "`descend " in page.locator("main").inner_text():
            faults.append((name, "a command of the terminal"))
    encoder.close()
    return faults


def set_view(page: Any, view: str) -> None:
    """Make the window as large, and as light or dark, as `view` says."""
    width, height = VIEWS.get(view, WIDE)
    page.emulate_media(color_scheme="dark" if view.endswith("dark") else "light")
    page.set_viewport_size({"width": width, "height": height})


def take_picture(visitor: Visitor, encoder: Any, target: Path) -> None:
    """Write what is on the screen as WebP, and the whole page as PNG beside it if that is
    wanted."""
    visitor.page.wait_for_timeout(400)
    if os.environ.get("STUDIO_WHOLE_PAGES") is not None:
        target.with_suffix(".png").write_bytes(visitor.page.screenshot(full_page=True))
    if target.name.partition("-")[0] not in NOT_PICTURED:
        png = base64.b64encode(visitor.page.screenshot()).decode()
        webp = base64.b64decode(encoder.evaluate(TO_WEBP, png))
        target.write_bytes(webp)
        assert len(webp) <= MAX_BYTES or target.stem.endswith("wide"), target.name


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_each_screen_fits_and_has_its_picture(
    enter: Any, studio: RunningStudio, tmp_path: Path
) -> None:
    folder = Path(SHOTS or tmp_path / "pictures")
    folder.mkdir(parents=True, exist_ok=True)
    slow, good = example_runs(studio)
    visitor = enter(studio)
    visitor.page.set_default_timeout(MAX_WAIT)  # the plan times a machine that may be busy
    faults = look_at(visitor, SCREENS, {"SLOW": slow, "GOOD": good}, folder)
    live = start_live_run(studio, good)
    faults += look_at(visitor, LIVE_SCREENS, {"LIVE": live}, folder)
    end_live_run(studio, live)
    assert faults == []
    assert visitor.errors == []
    pictures = [file for file in folder.glob("*.webp") if not file.stem.endswith("wide")]
    assert sum(picture.stat().st_size for picture in pictures) <= MAX_ALL_BYTES
