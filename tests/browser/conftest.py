"""A real browser: Debian's chromium, or one that is named by CHROMIUM."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ..web.studio_server import RunningStudio, Studios

NAMES = ("chromium", "chromium-browser", "google-chrome")


@dataclass
class PageSession:
    """A page that is open, and what it said and requested."""

    page: Any
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """One chromium for all tests; the tests are skipped where there is none."""
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip("no chromium on this machine (apt-get install chromium)")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as playwright:
        # Without a sandbox of its own: a container's root may not make one.
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Any]:
    """`visit(file, width=…, dark=…, script=…)`: the file in a fresh context, offline."""
    contexts = []

    def go(
        file: Path, *, width: int = 1100, dark: bool = False, script: bool = True
    ) -> PageSession:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light",
            java_script_enabled=script, offline=True,
        )  # fmt: skip
        contexts.append(context)
        session = PageSession(context.new_page())
        session.page.on("console", lambda said: session.errors.append(f"{said.type}: {said.text}"))
        session.page.on("pageerror", lambda problem: session.errors.append(str(problem)))
        session.page.on("request", lambda request: session.requests.append(request.url))
        session.page.goto(file.as_uri())
        return session

    yield go
    for context in contexts:
        context.close()


SECONDS = 1000

PATIENCE = float(os.environ.get("BROWSER_PATIENCE", "150"))
"""Seconds that a page may take, on a busy machine."""


@dataclass
class Visitor:
    """A browser that has opened the link of a studio."""

    studio: RunningStudio
    page: Any
    context: Any
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def go(self, screen: str) -> None:
        """Open a screen, and wait for its heading."""
        self.page.goto(f"{self.studio.address}/#/{screen}")
        self.page.locator("main h1").wait_for()

    def violations(self) -> list[tuple[str, str]]:
        """What axe finds wrong: the rule, and the first place."""
        axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
        broken_rules = axe.run(self.page).response["violations"]
        return [(v["id"], v["nodes"][0]["html"]) for v in broken_rules]


@pytest.fixture
def studios() -> Iterator[Studios]:
    """Starts real servers, which end with the test."""
    all_studios = Studios()
    yield all_studios
    all_studios.end()


@pytest.fixture
def enter(browser: Any) -> Iterator[Any]:
    """`enter(studio, width=…, dark=…)`: a browser of its own that opened the link."""
    contexts = []

    def go(studio: RunningStudio, *, width: int = 1280, dark: bool = False) -> Visitor:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
        )  # fmt: skip
        context.set_default_timeout(PATIENCE * SECONDS)
        contexts.append(context)
        visitor = Visitor(studio, context.new_page(), context)
        page = visitor.page
        page.on("console", lambda said: visitor.errors.append(f"{said.type}: {said.text}"))
        page.on("pageerror", lambda problem: visitor.errors.append(str(problem)))
        page.on("request", lambda request: visitor.requests.append(request.url))
        page.goto(studio.link)
        page.locator("main h1").wait_for()
        return visitor

    yield go
    for context in contexts:
        context.close()


SHOTS = os.environ.get("STUDIO_SCREENSHOTS")
SIZES = {"desktop": (1280, 900), "phone": (390, 844), "projector": (1920, 1080)}


def take_pictures(visitor: Visitor, name: str) -> None:
    """Write pictures of the page at each size, light and dark, if they are wanted."""
    if SHOTS is None:
        return
    page = visitor.page
    for size, (width, height) in SIZES.items():
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": height})
            page.evaluate("scrollTo(0, 0)")
            page.wait_for_timeout(400)
            target = Path(SHOTS) / f"{name}-{size}-{scheme}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=target, full_page=True)
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1280, "height": 900})


def broken_rules(visitor: Visitor) -> list[tuple[str, str]]:
    """What axe finds wrong, light and dark."""
    violations = []
    for scheme in ("light", "dark"):
        visitor.page.emulate_media(color_scheme=scheme)
        visitor.page.wait_for_timeout(200)
        violations += visitor.violations()
    visitor.page.emulate_media(color_scheme="light")
    return violations


def words(locator: Any) -> str:
    """The text of a part of the page, with one space between words."""
    return " ".join(locator.inner_text().split())
