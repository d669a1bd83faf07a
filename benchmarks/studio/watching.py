"""How much watching a run in the studio slows its training: paired runs, in turns.

    python benchmarks/studio/watching.py RESULT.json

It needs the extra `studio`. A server is open all the time. Runs of equal settings and seed are
trained in pairs: one alone, and one with `VIEWERS` readers of its events, in alternating order.
What is compared is the training time of a step: processor time of the training process, and wall
time. Wall time is of use only on idle cores. Processor time is not changed by other programs that
use the cores, except through caches.
"""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

from stored_figures import store_figures

from descend.trials.paired_stats import paired_interval

PAIRS = int(os.environ.get("PAIRS", "8"))
VIEWERS = 8
STEPS = int(os.environ.get("STEPS", "400"))
PORT = 8793
SETTINGS: dict[str, Any] = {
    "corpus_dir": "stories", "sample_size": 400, "embed_dim": 64, "num_heads": 2, "num_layers": 2,
    "ff_dim": 256, "max_seq_len": 64, "seq_len": 64, "batch_size": 8, "max_steps": STEPS,
    "vocab_size": 512, "precision": "float32", "attention": "matmul", "threads": 1,
    "compile": "off", "device": "cpu",
}  # fmt: skip


def main() -> None:
    store_figures(measure, pairs=PAIRS, viewers=VIEWERS, steps=STEPS)


def measure(folder: Path) -> dict[str, Any]:
    """The relative slowdown by watching, with its 95 % interval over pairs."""
    server = subprocess.Popen(
        [sys.executable, "-m", "descend", "studio", str(folder), "--no-browser", "--port",
         str(PORT)],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert server.stderr is not None
    address = re.search(r"http://[^/]+", server.stderr.readline())[0]  # type: ignore[index]
    key = (folder / ".studio" / "api_key").read_text()
    pairs: list[dict[str, dict[str, float]]] = []
    try:
        train(folder, "warm-up")
        for number in range(PAIRS):
            names = ["alone", "watched"] if number % 2 == 0 else ["watched", "alone"]
            pair = {}
            for kind in names:
                name = f"{kind}-{number}"
                end = watch(address, key, name) if kind == "watched" else threading.Event()
                pair[kind] = train(folder, name)
                end.set()
            pairs.append(pair)
            print(json.dumps(pair), flush=True)
    finally:
        server.terminate()
        server.wait()
    return {clock: slowdown(pairs, clock) for clock in ("processor", "wall")} | {"seconds": pairs}


def slowdown(pairs: list[dict[str, dict[str, float]]], clock: str) -> dict[str, Any]:
    """By how much of its time a watched run is slower: the mean over pairs, and its interval."""
    ratios = [pair["watched"][clock] / pair["alone"][clock] - 1 for pair in pairs]
    interval = paired_interval(ratios)
    return {
        "mean": round(sum(ratios) / len(ratios), 4),
        "ci95": [round(interval.low, 4), round(interval.high, 4)],
        "all": [round(ratio, 4) for ratio in ratios],
    }


def train(folder: Path, name: str) -> dict[str, float]:
    """Processor and wall seconds of a training process, start included."""
    config = folder / f"{name}.json"
    config.write_text(json.dumps(SETTINGS | {"save_dir": str(folder / "models" / name)}))
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "descend", "train", "--config", str(config)],
        check=True, capture_output=True,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"processor": round(used, 3), "wall": round(time.perf_counter() - began, 3)}


def watch(address: str, key: str, name: str) -> threading.Event:
    """Open `VIEWERS` streams of the run `name` as soon as it is there, until the event is set."""
    end = threading.Event()

    def view() -> None:
        headers = {"Authorization": f"Bearer {key}"}
        url = f"{address}/api/v1/runs/{name}/events"
        while not end.is_set():
            try:
                request = urllib.request.Request(url, headers=headers)
                with urllib.request.urlopen(request, timeout=60) as stream:
                    while not end.is_set() and stream.readline():
                        pass
            except OSError:
                time.sleep(0.2)

    for _ in range(VIEWERS):
        threading.Thread(target=view, daemon=True).start()
    return end


if __name__ == "__main__":
    main()
