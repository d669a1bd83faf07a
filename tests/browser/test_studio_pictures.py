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
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ..web.studio_server import TINY_SETTINGS, RunningStudio, Studios
from .conftest import SHOTS, Visitor
from .shown_workspace import Workspace, made_text, make_workspace
from .test_studio_improve import MAX_WAIT, improve_minutes

pytest.importorskip("fastapi", reason="the extra `studio` is not installed")

VIEWS = {
    "desktop-light": (1280, 900), "desktop-dark": (1280, 900), "phone-light": (390, 844),
    "phone-dark": (390, 844),
}  # fmt: skip
WIDE = (3840, 2160)
MAX_BYTES, MAX_ALL_BYTES = 100_000, 1_500_000

TO_WEBP = """async (png) => {
  const image = new Image();
  image.src = `data:image/png;base64,${png}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = image.width;
  canvas.height = image.height;
  canvas.getContext("2d").drawImage(image, 0, 0);
  return canvas.toDataURL("image/webp", 0.68).split(",")[1];
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
    return studios.start(folder)


def example_runs(studio: RunningStudio) -> tuple[str, str]:
    """Names of the run that was diagnosed and improved, and of the best of the largest ones."""
    slow = next(path.name for path in (studio.folder / "improvements").iterdir())
    rows = [row for row in studio.ask("GET", "/runs")[1]["runs"] if row["bits_per_byte"]]
    good = max(rows, key=lambda row: (row["parameters"], -row["bits_per_byte"]))
    return slow, good["name"]


def show_start(page: Any) -> None:
    page.get_by_role("button", name="stories").first.click()
    page.locator(".excerpt .t").nth(100).wait_for()
    page.get_by_text("Expected result").wait_for()


def show_runs(page: Any) -> None:
    page.get_by_label("Compare sweep-3", exact=True).check()
    page.get_by_label("Compare sweep-9", exact=True).check()
    page.locator("tr.differs").first.wait_for()
    page.locator(".chart svg").wait_for()


def show_talk(page: Any) -> None:
    page.get_by_role("button", name="Write on").click()
    page.locator(".answer .token").nth(30).wait_for()
    page.get_by_role("button", name="Write on").wait_for()  # done
    page.locator(".answer .token").nth(8).click()


def show_inside(page: Any) -> None:
    page.locator(".lens li").first.wait_for()
    page.get_by_text("Measuring what the parts are worth").wait_for(state="detached")
    page.locator(".tokens button").nth(4).click()
    page.locator(".near li").first.wait_for()


def show_improve(page: Any) -> None:
    page.get_by_text("The models, one after the other").wait_for()
    page.locator("#improve-title").scroll_into_view_if_needed()
    page.evaluate("document.querySelector('#improve-title').closest('section').scrollIntoView()")
    page.evaluate("scrollBy(0, -80)")


SCREENS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "start": ("start", show_start),
    "run": ("run/GOOD", lambda page: page.locator(".chart svg").wait_for()),
    "bad-run": ("run/SLOW", lambda page: page.locator(".warn-card").wait_for()),
    "runs": ("runs", show_runs),
    "talk": ("talk/GOOD", show_talk),
    "inside": ("inside/GOOD", show_inside),
    "diagnosis": ("diagnosis/SLOW", lambda page: page.locator(".range").first.wait_for()),
    "improve": ("diagnosis/SLOW", show_improve),
    "learn": ("learn", lambda page: page.locator(".lesson").first.wait_for()),
    "lesson": ("learn/rate", lambda page: page.locator(".choice-line").first.wait_for()),
}


def take(visitor: Visitor, encoder: Any, target: Path, *, whole: bool = False) -> None:
    """Write what is on the screen, or the whole page, as WebP, and as PNG beside it if `whole`."""
    visitor.page.wait_for_timeout(400)
    png = visitor.page.screenshot(full_page=whole)
    if whole:
        target.with_suffix(".png").write_bytes(png)
        return
    webp = base64.b64decode(encoder.evaluate(TO_WEBP, base64.b64encode(png).decode()))
    target.write_bytes(webp)
    assert len(webp) <= MAX_BYTES, target.name


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_each_screen_fits_and_has_its_picture(
    enter: Any, studio: RunningStudio, tmp_path: Path
) -> None:
    folder, faults = Path(SHOTS or tmp_path / "pictures"), []
    folder.mkdir(parents=True, exist_ok=True)
    whole = os.environ.get("STUDIO_WHOLE_PAGES") is not None
    slow, good = example_runs(studio)
    for view, (width, height) in (VIEWS | {"wide": WIDE}).items():
        visitor = enter(studio, width=width, dark=view.endswith("dark"))
        page, encoder = visitor.page, visitor.context.new_page()
        page.set_default_timeout(MAX_WAIT)  # the plan times a machine that may be busy
        page.set_viewport_size({"width": width, "height": height})
        page.bring_to_front()  # one behind another may not draw
        for name, (place, show) in SCREENS.items():
            if view == "wide" and name != "run":
                continue
            visitor.go(place.replace("SLOW", slow).replace("GOOD", good))
            page.mouse.move(0, 0)  # where the last click was, nothing is pointed at
            show(page)
            take(visitor, encoder, folder / f"{name}-{view}.webp", whole=whole)
            faults += [(name, view, text) for text in page.evaluate(CUT)]
            if page.evaluate("document.documentElement.scrollWidth") > width:
                faults.append((name, view, "scrolls sideways"))
        faults += [("console", view, said) for said in visitor.errors]
        visitor.context.close()
    assert faults == []
    pictures = [*folder.glob("*.webp")]
    assert sum(picture.stat().st_size for picture in pictures) <= MAX_ALL_BYTES
