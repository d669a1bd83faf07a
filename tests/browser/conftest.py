"""A real browser: Debian's chromium, or one that is named by CHROMIUM."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

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
