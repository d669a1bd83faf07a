"""How quick the studio is: start, page, a run of 100,000 steps, a list of 1,000 runs, a new point.

    python benchmarks/studio/measure.py RESULT.json

It needs the development packages and chromium. A tiny run is trained once; its folder is copied
1,000 times, and one copy gets a log of 100,000 steps. Each time is the median of `REPEATS`, with
all of them beside it. Times are of the machine and of what else it did (see `load_average`).
To try the script out: NUM_RUNS=20 NUM_STEPS=500 REPEATS=1. What is stored says so.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright
from stored_figures import store_figures

from descend.runs.event_log import EventLog
from descend.runs.events import Step, TrainingStarted
from descend.runs.lock import lock_run_folder

REPEATS = int(os.environ.get("REPEATS", "3"))
NUM_RUNS = int(os.environ.get("NUM_RUNS", "1000"))
NUM_STEPS = int(os.environ.get("NUM_STEPS", "100000"))
VIEWERS, WATCH_SECONDS = 8, 10.0
PORT = 8791
TINY = {
    "corpus_dir": "stories", "sample_size": 40, "embed_dim": 16, "num_heads": 2, "num_layers": 2,
    "ff_dim": 32, "max_seq_len": 32, "seq_len": 16, "batch_size": 16, "epoch": 1,
    "vocab_size": 300, "precision": "float32", "attention": "matmul", "threads": 1,
}  # fmt: skip


class Server:
    """`descend studio` over `folder`; `seconds` from its start to its first answer."""

    def __init__(self, folder: Path) -> None:
        began = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "descend", "studio", str(folder), "--no-browser", "--port",
             str(PORT)],
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stderr is not None
        self.link = re.search(r"http\S+", self.process.stderr.readline())[0]  # type: ignore[index]
        self.address = self.link.split("/?")[0]
        urllib.request.urlopen(f"{self.address}/login").read()
        self.seconds = time.perf_counter() - began
        self.key = (folder / ".studio" / "api_key").read_text()

    def ask(self, path: str) -> tuple[float, int]:
        """Seconds and bytes of a request."""
        request = urllib.request.Request(
            f"{self.address}/api/v1{path}", headers={"Authorization": f"Bearer {self.key}"}
        )
        began = time.perf_counter()
        content = urllib.request.urlopen(request).read()
        return time.perf_counter() - began, len(content)

    def processor_seconds(self) -> float:
        """Of the server so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_bytes(self) -> int:
        """Resident memory of the server."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def end(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait()


def main() -> None:
    store_figures(measure, num_runs=NUM_RUNS, num_steps=NUM_STEPS)


def measure(folder: Path) -> dict[str, Any]:
    """All figures, over a workspace in `folder`."""
    make_workspace(folder)
    starts, processor = [], []
    for _ in range(REPEATS):
        server = Server(folder)
        starts.append(server.seconds)
        processor.append(server.processor_seconds())
        server.end()
    server = Server(folder)
    figures: dict[str, Any] = {
        "server_up_seconds": spread(starts),
        "server_up_processor_seconds": spread(processor),
    }
    figures["server_memory_bytes"] = server.memory_bytes()
    figures["list_of_1000_runs"] = first_and_later(server, "/runs")
    figures["curve_of_100000_steps"] = first_and_later(server, "/runs/long/curve")
    print(json.dumps(figures), flush=True)
    try:
        figures |= measure_page(server, folder)
        figures["processor_fraction_with_8_viewers"] = watch_together(server, folder)
    finally:
        server.end()
    return figures


def make_workspace(folder: Path) -> None:
    """1,000 runs in `folder`/models, and one of 100,000 steps named long."""
    from descend import run

    models = folder / "models"
    run(TINY | {"save_dir": str(models / "run-0")})
    shutil.rmtree(models / "run-0" / "checkpoints")
    for number in range(1, NUM_RUNS - 1):
        shutil.copytree(models / "run-0", models / f"run-{number}", copy_function=os.link)
    shutil.copytree(models / "run-0", models / "long")
    (models / "long" / "events.jsonl").unlink()
    log = EventLog(models / "long")
    log.append(TrainingStarted(0, "2026-01-01T00:00:00+00:00"))
    for step in range(1, NUM_STEPS + 1):
        log.append(step_event(step))
    log.close()


def step_event(step: int) -> Step:
    """A step of a made-up curve that falls, with noise: only its size matters here."""
    loss = 2 + 5 / (1 + step / 500) + (step * 7919 % 1000) / 4000
    return Step(step, 1, loss, 0.5, 0.001, 1.0, clipped=False, seconds=0.05)


def first_and_later(server: Server, path: str) -> dict[str, Any]:
    """Seconds of the first request and of later ones, and bytes."""
    first, size = server.ask(path)
    later = [server.ask(path)[0] for _ in range(REPEATS)]
    return {"first_seconds": round(first, 4), "later_seconds": spread(later), "bytes": size}


def measure_page(server: Server, folder: Path) -> dict[str, Any]:
    """What a browser sees."""
    with sync_playwright() as playwright:
        path = os.environ.get("CHROMIUM") or shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
        sizes: dict[str, int] = {}
        page.on("response", lambda answer: sizes.setdefault(answer.url, len(answer.body()))
                if answer.url.endswith(".js") and answer.status == 200 else None)  # fmt: skip
        page.goto(server.link)
        page.locator(".texts button").nth(1).wait_for()
        page.wait_for_timeout(500)

        def seconds_until(screen: str, selector: str) -> float:
            page.goto("about:blank")
            began = time.perf_counter()
            page.goto(f"{server.address}/#/{screen}")
            page.locator(selector).first.wait_for()
            return time.perf_counter() - began

        figures: dict[str, Any] = {
            "javascript_bytes": sum(sizes.values()),
            "page_interactive_seconds": repeat(lambda: seconds_until("start", ".texts button")),
            "page_of_100000_steps_seconds": repeat(lambda: seconds_until("run/long", ".chart svg")),
            "page_of_1000_runs_seconds": repeat(lambda: seconds_until("runs", "table tbody tr")),
        }
        page.goto(f"{server.address}/#/run/long")
        page.locator(".chart svg").wait_for()
        figures["max_frame_milliseconds"] = max_frame_milliseconds(page, move_over_curve)
        page.goto(f"{server.address}/#/runs")
        page.locator("table tbody tr").first.wait_for()
        figures["max_list_frame_milliseconds"] = max_frame_milliseconds(page, search_and_sort)
        figures["new_point_seconds"] = new_point(page, server, folder)
        browser.close()
    return figures


def max_frame_milliseconds(page: Any, act: Callable[[Any], None]) -> float:
    """Milliseconds of the longest frame while `act` uses the page."""
    page.evaluate(
        "() => { window.longest = 0; let last = performance.now(); const look = now => {"
        "window.longest = Math.max(window.longest, now - last); last = now;"
        "requestAnimationFrame(look); }; requestAnimationFrame(look); }"
    )
    act(page)
    return round(float(page.evaluate("window.longest")), 1)


def move_over_curve(page: Any) -> None:
    """Move the pointer over the curve of 100,000 steps."""
    box = page.locator(".chart svg").bounding_box()
    for n in range(40):
        page.mouse.move(box["x"] + 60 + n * (box["width"] - 90) / 40, box["y"] + 150)


def search_and_sort(page: Any) -> None:
    """Search in the list of 1,000 runs letter by letter, order it anew, and scroll."""
    page.locator("#search").press_sequentially("run-99", delay=60)
    page.locator("#search").fill("")
    for column in ("Name", "Bits per byte", "Started"):
        page.locator("button.sort").get_by_text(column).click()
        page.wait_for_timeout(100)
    for _ in range(10):
        page.mouse.wheel(0, 600)
        page.wait_for_timeout(60)


def new_point(page: Any, server: Server, folder: Path) -> dict[str, Any]:
    """Seconds from a step in the log to its number on the screen, the run being trained."""
    run = folder / "models" / "run-1"
    log, delays = None, []
    with lock_run_folder(run):
        (run / "events.jsonl").unlink()  # the others share the file that stood here
        log = EventLog(run)
        log.append(TrainingStarted(0, "2026-01-01T00:00:00+00:00"))
        log.append(step_event(1))
        page.goto(f"{server.address}/#/run/run-1")
        page.locator(".chart svg").wait_for()
        for step in range(2, 2 + 2 * REPEATS):
            time.sleep(0.37)
            began = time.perf_counter()
            log.append(step_event(step))
            page.wait_for_function(
                "step => [...document.querySelectorAll('dt')].find(d => d.innerText === 'Step')"
                ".nextSibling.innerText.startsWith(step)", arg=str(step), polling=10,
            )  # fmt: skip
            delays.append(time.perf_counter() - began)
        log.close()
    return spread(delays)


def watch_together(server: Server, folder: Path) -> float:
    """Fraction of one core that the server takes while eight viewers watch a run of 20 steps/s."""
    run, end = folder / "models" / "run-2", threading.Event()

    def view() -> None:
        request = urllib.request.Request(
            f"{server.address}/api/v1/runs/run-2/events",
            headers={"Authorization": f"Bearer {server.key}"},
        )
        with urllib.request.urlopen(request) as response:
            while not end.is_set() and response.readline():
                pass

    with lock_run_folder(run):
        (run / "events.jsonl").unlink()  # the others share the file that stood here
        log = EventLog(run)
        log.append(TrainingStarted(0, "2026-01-01T00:00:00+00:00"))
        viewers = [threading.Thread(target=view, daemon=True) for _ in range(VIEWERS)]
        for viewer in viewers:
            viewer.start()
        time.sleep(2)
        began, before = time.perf_counter(), server.processor_seconds()
        step = 0
        while time.perf_counter() - began < WATCH_SECONDS:
            step += 1
            log.append(step_event(step))
            time.sleep(0.05)
        share = (server.processor_seconds() - before) / (time.perf_counter() - began)
        end.set()
        log.close()
    return round(share, 4)


def repeat(action: Callable[[], float]) -> dict[str, Any]:
    """`action` some times: the first is the warm-up."""
    action()
    return spread([action() for _ in range(REPEATS)])


def spread(values: list[float]) -> dict[str, Any]:
    """Median, and all."""
    return {"median": round(statistics.median(values), 4), "all": [round(v, 4) for v in values]}


if __name__ == "__main__":
    main()
