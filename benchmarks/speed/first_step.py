"""From the key press to the first step of `descend train`, and to the end of its imports.

    python benchmarks/speed/first_step.py RESULTS TEXT [--rounds N]

The corpus, the choice of the engine and the compiled code are in the cache after a run that is not
counted. Two runs in turn: one that is long enough to be compiled (the preset's), one that is
not (`--max-steps 20`). Each is ended after its first step is on record.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from time_to_loss import _wait_for_a_step

from descend.machine import available_cores, cpu_name, package_versions

RUNS = {"compiled": [], "not compiled": ["--max-steps", "20"]}


def first_step(text: str, flags: list[str]) -> dict[str, Any]:
    """Seconds to the first step, and how it computed."""
    with tempfile.TemporaryDirectory() as folder:
        model, output = Path(folder) / "model", Path(folder) / "said"
        command = [
            sys.executable, "-m", "descend", "train", text, *flags,
            "--save-dir", str(model), "--json",
        ]  # fmt: skip
        clock = time.perf_counter()
        with output.open("w") as aside:
            running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=aside)
            seconds = _wait_for_a_step(model / "events.jsonl", running) - clock
            running.kill()
            running.wait()
        chosen = [line for line in output.read_text().splitlines() if "computing in" in line]
    return {"seconds": round(seconds, 2), "said": chosen}


def computed_as(name: str, result: dict[str, Any]) -> bool:
    """Whether a run was that of `name`, and computed so: beside another program the engine may not
    compile what it would at rest."""
    compiled = any(", compiled" in line.split("(")[0] for line in result["said"])
    return result["run"] == name and compiled == (name == "compiled")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("results", type=Path)
    parser.add_argument("text")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    text = str(Path(args.text).resolve())
    raw = []
    for number in range(-1, args.rounds):
        for name, flags in RUNS.items():
            result = {"round": number, "run": name} | first_step(text, flags)
            print(result, flush=True)
            raw.append(result)
    counted = {
        n: [r["seconds"] for r in raw if r["round"] >= 0 and computed_as(n, r)] for n in RUNS
    }
    record = {
        "command": f"python benchmarks/speed/first_step.py RESULTS {Path(text).name}",
        "machine": {
            "processor": cpu_name(),
            "cores": available_cores(),
            "versions": package_versions(),
        },
        "raw": raw,
        "summary": [
            {"run": n, "rounds": len(s), "seconds": [min(s), statistics.median(s), max(s)]}
            for n, s in counted.items()
            if s
        ],
    }
    args.results.mkdir(parents=True, exist_ok=True)
    (args.results / "first_step.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
