"""When a new user sees something: seconds from key press to the first line, text, and the end.

    python benchmarks/speed/first_hour.py RESULTS TEXT [DESCEND TRAIN FLAGS …]

Trains with `descend train TEXT FLAGS` with an empty cache, and adds a line to
RESULTS/first_hour.jsonl. Nothing else may run on the machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from descend.machine import cpu_name

MARKS = {
    "text_header": "text:", "first_sample": "▸", "result": "The model predicts",
}  # fmt: skip
"""What a line holds, by what it is the first of."""


def time_lines(text: Path, flags: list[str], folder: Path) -> dict[str, float]:
    """Seconds from the start of the command to each of `MARKS`, and to its end."""
    environment = os.environ | {"COLUMNS": "80", "DESCEND_CACHE_DIR": str(folder / "cache")}
    command = [sys.executable, "-m", "descend", "train", str(text.resolve()), *flags]
    began, seconds = time.perf_counter(), dict[str, float]()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder,
        env=environment,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            now = round(time.perf_counter() - began, 1)
            seconds.setdefault("first_line", now)
            for name, mark in MARKS.items():
                if mark in line:
                    seconds.setdefault(name, now)
    if process.returncode:
        raise SystemExit(f"descend train ended with {process.returncode}")
    return seconds | {"end": round(time.perf_counter() - began, 1)}


def main() -> None:
    results, text, *flags = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        seconds = time_lines(Path(text), flags, Path(folder))
    row = {"text": Path(text).name, "bytes": Path(text).stat().st_size, "flags": flags,
           "processor": cpu_name(), "seconds": seconds}  # fmt: skip
    with (Path(results) / "first_hour.jsonl").open("a", encoding="utf-8") as out:
        out.write(json.dumps(row, ensure_ascii=False) + "\n")
    print(row)


if __name__ == "__main__":
    main()
