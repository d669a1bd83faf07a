"""Tokens per second of descend beside its peers, in turn, on this machine.

    python benchmarks/speed/tokens_per_second.py RESULTS [--rounds N] [--seconds S] [--sizes A,B]
        [--arms A;B]

Each arm runs in a process of its own; a round lets every arm run once, so that a
machine that drifts drifts for all. Quoted are medians, and ratios taken within a round. Rounds are
added to those that RESULTS already holds. Needs `--group bench`, for the Trainer.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from compared_programs import SIZES

from descend.machine import describe_hardware, resolve_device

ARMS = (
    "descend",
    "descend, long run",
    "descend, four heads",
    "descend, dropout 0.1",
    "textbook, float32",
    "textbook, float32, compiled",
    "textbook, bfloat16",
    "textbook, bfloat16, compiled",
    "Trainer, float32",
    "Trainer, float32, compiled",
    "Trainer, bfloat16",
    "Trainer, bfloat16, compiled",
)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("results", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--sizes", default=",".join(list(SIZES)[:4]))
    parser.add_argument("--arms", default=";".join(ARMS))
    args = parser.parse_args()
    here = Path(__file__).parent
    file = args.results / "tokens_per_second.json"
    raw: list[dict[str, Any]] = json.loads(file.read_text())["raw"] if file.exists() else []
    before = 1 + max((r["round"] for r in raw), default=-1)
    for size in args.sizes.split(","):
        for number in range(before, before + args.rounds):
            for program in args.arms.split(";"):
                done = subprocess.run(
                    [sys.executable, "compared_programs.py", program, size, str(args.seconds)],
                    cwd=here, capture_output=True, text=True, check=False,
                )  # fmt: skip
                if done.returncode:
                    print(f"{program}, {size}: failed: {done.stderr.splitlines()[-1:]}")
                    continue
                result = json.loads(done.stdout.splitlines()[-1])
                raw.append({"size": size, "round": number, "arm": program} | result)
                print(f"{size:6} {number} {program:30} {result['tokens_per_second']:9,.0f}")
                write(file, raw)  # what was measured is kept at once


def write(file: Path, raw: list[dict[str, Any]]) -> None:
    """All that was measured, and its summary."""
    record = {
        "command": "python benchmarks/speed/tokens_per_second.py RESULTS",
        "machine": describe_hardware(resolve_device("auto")),
        "sizes": SIZES,
        "raw": raw,
        "summary": summary(raw),
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(record, indent=1) + "\n")


def summary(raw: list[dict[str, Any]]) -> list[dict[str, object]]:
    """By size and arm: median tokens/s, and how many times as fast descend is, by round."""
    rows = []
    for size in dict.fromkeys(str(r["size"]) for r in raw):
        speeds = {
            (str(r["arm"]), r["round"]): float(str(r["tokens_per_second"]))
            for r in raw
            if r["size"] == size
        }
        for program in ARMS:
            mine = {n: s for (c, n), s in speeds.items() if c == program}
            if not mine:
                continue
            ratios = [speeds["descend", n] / s for n, s in mine.items() if ("descend", n) in speeds]
            if not ratios:
                continue
            rows.append(
                {
                    "size": size,
                    "arm": program,
                    "rounds": len(mine),
                    "tokens_per_second": round(statistics.median(mine.values())),
                    "peak_megabytes": round(
                        max(
                            r["peak_megabytes"]
                            for r in raw
                            if (r["size"], r["arm"]) == (size, program)
                        )
                    ),
                    "descend_is_times_as_fast": [
                        round(min(ratios), 2),
                        round(statistics.median(ratios), 2),
                        round(max(ratios), 2),
                    ],
                }
            )
    return rows


if __name__ == "__main__":
    main()
