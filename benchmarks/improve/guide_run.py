"""`descend improve` on the run that the guide begins with, against `descend train` for as long.

    python benchmarks/improve/guide_run.py RESULTS TEXT FOLDERS [--minutes 3,10] [--limit 20]

TEXT is tinyshakespeare.txt; run folders go to FOLDERS. The parts: the preset `old`, then for each
number of minutes `improve` on that run and `train` on its text. Each part is written to
RESULTS/guide_run.json as soon as it is over, and is not made again: the same command goes on with
the next. A part that was interrupted is made anew. A call begins no part that would take it beyond
`--limit` minutes: all the parts take about 28 minutes, so two calls.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any, NamedTuple

PRESET = "old"
"""The preset, and the folder of its run."""

PRESET_MINUTES = 2.5
"""What the preset takes on two cores, about."""

TRAIN_KEYS = ("validation_loss", "validation_accuracy", "bits_per_byte", "seconds")
"""Of summary.json."""


class Part(NamedTuple):
    """A command to be measured."""

    name: str
    words: list[str]
    minutes: float
    folder: str


def list_parts(text: str, minutes: list[float]) -> Iterator[Part]:
    """The parts in the order in which they are made."""
    words = ["train", text, "--preset", PRESET, "--save-dir", PRESET, "--json"]
    yield Part(PRESET, words, PRESET_MINUTES, PRESET)
    for each in minutes:
        folder = f"improve_{each:g}"
        words = ["improve", PRESET, "--minutes", f"{each:g}", "--save-dir", folder, "--json"]
        yield Part(folder, words, each, folder)
        folder = f"train_{each:g}"
        words = ["train", text, "--minutes", f"{each:g}", "--save-dir", folder, "--json"]
        yield Part(folder, words, each, folder)


def measure_part(part: Part) -> dict[str, Any]:
    """Carry a part out; what it printed as JSON, and the seconds from key press to its end."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "descend", *part.words], capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"{' '.join(part.words)} failed:\n{done.stderr[-2000:]}")
    took = round(time.perf_counter() - began, 1)
    printed = json.loads(done.stdout)
    record: dict[str, Any] = {
        "command": " ".join(["descend", *part.words]), "wall_seconds": took,
        "load_average": [round(x, 2) for x in os.getloadavg()],
    }  # fmt: skip
    if part.words[0] == "train":
        return record | {key: printed[key] for key in TRAIN_KEYS}
    best = min(printed["candidates"], key=lambda c: c["bits_per_byte"])
    return record | {
        "bits_per_byte": best["bits_per_byte"],
        "best": best["run"],
        "improvement": printed,
    }


def main() -> None:
    """Make the parts that are not there yet, as far as the limit goes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("text", type=Path)
    parser.add_argument("folders", type=Path)
    parser.add_argument("--minutes", default="3,10")
    parser.add_argument("--limit", type=float, default=20.0)
    options = parser.parse_args()
    began = time.perf_counter()
    text, results = options.text.resolve(), options.results.resolve()
    results.mkdir(parents=True, exist_ok=True)
    options.folders.mkdir(parents=True, exist_ok=True)
    target = results / "guide_run.json"
    record: dict[str, Any] = {"machine": f"{os.cpu_count()} cores, {platform.machine()}",
                              "text": text.name, "parts": {}}  # fmt: skip
    if target.exists():
        record = json.loads(target.read_text("utf-8"))
    with chdir(options.folders):
        if not Path(text.name).exists():
            shutil.copy(text, text.name)
        for part in list_parts(text.name, [float(m) for m in options.minutes.split(",")]):
            if part.name in record["parts"]:
                continue
            spent = (time.perf_counter() - began) / 60
            if spent + part.minutes > options.limit:
                print(f"{part.name} and what follows: run the same command again", flush=True)
                break
            shutil.rmtree(part.folder, ignore_errors=True)  # what an interruption left there
            record["parts"][part.name] = measure_part(part)
            target.write_text(
                json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
            )
            result = record["parts"][part.name]
            print(f"{part.name}: {result['bits_per_byte']:.4f} bits per byte, "
                  f"{result['wall_seconds']:.0f} s", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
