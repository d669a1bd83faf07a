"""Measures what the pointer over a curve of 100,000 steps costs the page, in processor time.

    python benchmarks/studio/frames.py RESULT.json

Processor time of the page's main thread, by Chrome's own counter: it hardly depends on what else
the machine does, as the length of a frame does. A frame that takes less than 100 ms of it is
drawn in time on a core that is free.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from measure import NUM_STEPS, REPEATS, TINY, Server, spread, step_event
from playwright.sync_api import sync_playwright
from stored_figures import store_figures

from descend.runs.event_log import EventLog
from descend.runs.events import TrainingStarted

MOVES = 40
MINUTE = 60_000


def main() -> None:
    store_figures(measure, num_steps=NUM_STEPS)


def measure(folder: Path) -> dict[str, Any]:
    """Milliseconds of processor time: of opening the page, and of each move of the pointer."""
    from descend import run

    run(TINY | {"save_dir": str(folder / "models" / "long")})
    events = folder / "models" / "long" / "events.jsonl"
    events.unlink()
    log = EventLog(events.parent)
    log.append(TrainingStarted(0, "2026-01-01T00:00:00+00:00"))
    for step in range(1, NUM_STEPS + 1):
        log.append(step_event(step))
    log.close()
    server = Server(folder)
    try:
        with sync_playwright() as playwright:
            path = os.environ.get("CHROMIUM") or shutil.which("chromium")
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
            context = browser.new_context(viewport={"width": 1280, "height": 900})
            context.set_default_timeout(10 * MINUTE)
            page = context.new_page()
            page.goto(server.link)
            rounds = [move_pointer(context, page, server) for _ in range(REPEATS)]
            browser.close()
    finally:
        server.end()
    return {
        "open_milliseconds": spread([opened for opened, _ in rounds]),
        "max_move_milliseconds": spread([max(moves) for _, moves in rounds]),
        "median_move_milliseconds": spread([sorted(moves)[MOVES // 2] for _, moves in rounds]),
    }


def move_pointer(context: Any, page: Any, server: Server) -> tuple[float, list[float]]:
    """Open the curve and move over it: processor milliseconds of the first, and of each move."""
    session = context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def used() -> float:
        metrics = session.send("Performance.getMetrics")["metrics"]
        return 1000 * next(m["value"] for m in metrics if m["name"] == "TaskDuration")

    page.goto("about:blank")
    began = used()
    page.goto(f"{server.address}/#/run/long")
    page.locator(".chart svg").wait_for()
    page.wait_for_timeout(3000)
    opened, moves = used() - began, []
    box = page.locator(".chart svg").bounding_box()
    for number in range(MOVES):
        before = used()
        page.mouse.move(box["x"] + 60 + number * (box["width"] - 90) / MOVES, box["y"] + 150)
        page.wait_for_timeout(60)
        moves.append(used() - before)
    session.detach()
    return opened, moves


if __name__ == "__main__":
    main()
