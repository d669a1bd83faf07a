"""How much watching a run in the studio slows its training: one run, watched in turns.

    python benchmarks/studio/watching.py RESULT.json

It needs the extra `studio`, Linux, and idle cores. A server is open all the time. One process
trains. In turns of a few seconds, `VIEWERS` readers follow its events, or none does, in the order
none, all, all, none. What is compared is what a step took in neighboring turns: seconds of the
training process, and of its processor. One long run differs less from turn to turn than two runs
from each other. What a turn begins with is left out: connections are made and closed in it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stored_figures import store_figures

from descend.runs.event_log import read_events
from descend.runs.event_tail import EventTail
from descend.runs.events import Sample, Step
from descend.trials.paired_stats import paired_interval

PAIRS = int(os.environ.get("PAIRS", "30"))
VIEWERS = 8
PORT = 8793
TURN_SECONDS = 3.0
SETTLING_SECONDS = 1.0
MIN_STEPS = 100
"""Steps before the first turn: those of a new process are slower."""
SETTINGS: dict[str, Any] = {
    "corpus_dir": "stories", "validation_fraction": 0.01, "embed_dim": 64, "num_heads": 2,
    "num_layers": 2, "ff_dim": 256, "max_seq_len": 64, "seq_len": 64, "batch_size": 8,
    "epoch": 1_000_000, "vocab_size": 512, "precision": "float32", "attention": "matmul",
    "threads": 1, "compile": "off", "device": "cpu",
}  # fmt: skip


@dataclass(frozen=True)
class Turn:
    """The steps of a turn, from the one after `first` to `last`, and the processor time of all."""

    is_watched: bool
    first: int
    last: int
    processor: float


def main() -> None:
    store_figures(measure, pairs=PAIRS, viewers=VIEWERS, turn_seconds=TURN_SECONDS)


def measure(folder: Path) -> dict[str, Any]:
    """The relative slowdown by watching, with its 95 % interval over pairs of turns."""
    config, run = folder / "run.json", folder / "models" / "run"
    config.write_text(json.dumps(SETTINGS | {"save_dir": str(run)}))
    server = subprocess.Popen(
        [sys.executable, "-m", "descend", "studio", str(folder), "--no-browser", "--port",
         str(PORT)],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert server.stderr is not None
    address = re.search(r"http://[^/]+", server.stderr.readline())[0]  # type: ignore[index]
    key = (folder / ".studio" / "api_key").read_text()
    training = subprocess.Popen(
        [sys.executable, "-m", "descend", "train", "--config", str(config)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        tail = StepCounter(run)
        while tail.step() < MIN_STEPS:
            time.sleep(0.5)
            assert training.poll() is None, "the training ended"
        url = f"{address}/api/v1/runs/run/events"
        turns = [take_turn(tail, training.pid, number % 4 in (1, 2), url, key)
                 for number in range(2 * PAIRS)]  # fmt: skip
    finally:
        for process in (training, server):
            process.terminate()
            process.wait()
    return compare_turns(turns, run)


class StepCounter:
    """The last step of the run in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._tail, self._step = EventTail(folder), 0

    def step(self) -> int:
        """The last step so far."""
        steps = [event.step for event in self._tail.read() if isinstance(event, Step)]
        self._step = steps[-1] if steps else self._step
        return self._step


def processor_seconds(pid: int) -> float:
    """Processor time of a process: Linux numbers its clock so (clock_getcpuclockid)."""
    return time.clock_gettime((~pid << 3) | 2)


def take_turn(tail: StepCounter, pid: int, is_watched: bool, url: str, key: str) -> Turn:
    """One turn, with or without viewers."""
    end = threading.Event()
    viewers = [threading.Thread(target=view, args=(url, key, end)) for _ in range(VIEWERS)]
    for viewer in viewers if is_watched else ():
        viewer.start()
    time.sleep(SETTLING_SECONDS)
    first, before = tail.step(), processor_seconds(pid)
    time.sleep(TURN_SECONDS)
    last, after = tail.step(), processor_seconds(pid)
    end.set()
    for viewer in viewers if is_watched else ():
        viewer.join()
    return Turn(is_watched, first, last, after - before)


def view(url: str, key: str, end: threading.Event) -> None:
    """Follow the events at `url` until `end`."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})
    with urllib.request.urlopen(request, timeout=60) as stream:
        while not end.is_set() and stream.readline():
            pass


def compare_turns(turns: list[Turn], run: Path) -> dict[str, Any]:
    """By how much a step takes longer where it is watched, over pairs of neighboring turns.

    Pairs in which the model wrote a sample are left out of the processor time: it is not of steps.
    """
    events = read_events(run)
    seconds = {event.step: event.seconds for event in events if isinstance(event, Step)}
    samples = [event.step for event in events if isinstance(event, Sample)]
    wall, processor = [], []
    for pair in zip(turns[::2], turns[1::2], strict=True):
        alone, watched = sorted(pair, key=lambda turn: turn.is_watched)
        took = [sum(seconds[n] for n in range(turn.first + 1, turn.last + 1))
                / (turn.last - turn.first) for turn in (alone, watched)]  # fmt: skip
        wall.append(took[1] / took[0] - 1)
        if not any(turn.first < step <= turn.last for step in samples for turn in pair):
            each = [turn.processor / (turn.last - turn.first) for turn in (alone, watched)]
            processor.append(each[1] / each[0] - 1)
    return {"wall": slowdown(wall), "processor": slowdown(processor)}


def slowdown(ratios: list[float]) -> dict[str, Any]:
    """The mean of `ratios`, and its 95 % interval."""
    interval = paired_interval(ratios)
    return {
        "pairs": len(ratios),
        "mean": round(sum(ratios) / len(ratios), 4),
        "ci95": [round(interval.low, 4), round(interval.high, 4)],
        "median": round(sorted(ratios)[len(ratios) // 2], 4),
    }


if __name__ == "__main__":
    main()
