"""How long the experiment of each lesson takes, and what it answers.

    python benchmarks/studio/lessons.py RESULT.jsonl [LESSON …]

Each lesson is a process of its own, as in the studio; one line a lesson. Processor time is that of
the whole process on one thread, the start of Python and torch included. Wall time is of use only on
an idle core.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from descend.handbook.lesson import load_lessons
from descend.machine import cpu_name


def main() -> None:
    target = Path(sys.argv[1])
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], check=True, capture_output=True, text=True
    ).stdout.strip()
    for name in sys.argv[2:] or load_lessons():
        line = {
            "command": "python benchmarks/studio/lessons.py RESULT.jsonl", "commit": commit,
            "processor": cpu_name(), "cores": os.cpu_count(), "load_average": os.getloadavg(),
        } | measure(name)  # fmt: skip
        with target.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def measure(name: str) -> dict[str, object]:
    """Processor and wall seconds of the lesson `name`, its answer, and its losses."""
    with tempfile.TemporaryDirectory() as folder:
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "descend", "learn", name, "--json", "--save-dir", folder],
            check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    output = json.loads(done.stdout)
    result, lesson = output["result"], output["lessons"][0]
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "lesson": name, "processor_seconds": round(used, 1),
        "wall_seconds": round(time.perf_counter() - began, 1),
        "measured": result["measured"], "answer": lesson["choices"][result["answer"]],
    }  # fmt: skip


if __name__ == "__main__":
    main()
