"""Many tabs on one run: a browser has six connections to a server, in all tabs together."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from descend.runs.event_log import EventLog
from descend.runs.events import Step, TrainingStarted
from descend.runs.lock import lock_run_folder

from ..web.studio_server import Studios

pytest.importorskip("fastapi", reason="the extra `studio` is not installed")

MAX_CONNECTIONS = 6

SET_HIDDEN = """(isHidden) => {
  Object.defineProperty(document, "hidden", { value: isHidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""
"""What a browser says of a tab behind another: pages of a test are all in sight."""


def step(number: int) -> Step:
    return Step(number, 1, 5.0, 0.01, 1e-3, 1.0, clipped=False, seconds=0.01)


def test_tabs_behind_another_hold_no_connection(
    enter: Any, studios: Studios, tmp_path: Path, trained: Path
) -> None:
    run = tmp_path / "work" / "models" / "first"
    shutil.copytree(trained, run)
    (run / "events.jsonl").unlink()
    studio = studios.start(tmp_path / "work")
    context = enter(studio).context
    with lock_run_folder(run):
        log = EventLog(run)
        log.append(TrainingStarted(0, "2026-01-01T00:00:00+00:00"))
        for number in range(1, 50):
            log.append(step(number))
        for _ in range(MAX_CONNECTIONS + 1):
            page = context.new_page()
            page.goto(f"{studio.address}/#/run/first")
            page.locator(".chart svg").wait_for()
            page.evaluate(SET_HIDDEN, True)
        log.append(step(50))
        page.evaluate(SET_HIDDEN, False)
        page.locator("dt:text-is('Step') + dd").get_by_text("50").wait_for()
        log.append(step(51))
        page.locator("dt:text-is('Step') + dd").get_by_text("51").wait_for()
        log.close()
