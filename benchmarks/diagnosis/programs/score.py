"""How many planted bugs `descend check` finds, and how often it cries without one.

    python benchmarks/diagnosis/programs/score.py --write benchmarks/results/bugs

Writes raw.csv (a row a program) and summary.json; can be stopped and taken up again.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))

from examples import ProgramExample, all_cases
from wilson import interval

from descend.program_check.bugs import BUGS, REMARKS
from descend.program_check.run_checks import Checked, check_module


def check(case: ProgramExample, folder: Path) -> tuple[Checked, float]:
    """The check of one program, and its seconds of processor time, import included."""
    path = folder / "program.py"
    path.write_text(case.source, encoding="utf-8")
    began = time.process_time()
    result = check_module(str(path))
    return result, time.process_time() - began


def judge(case: ProgramExample, result: Checked) -> tuple[bool, list[str]]:
    """Whether the planted bug was named, and which others were."""
    named = [b.bug for b in result.bugs]
    said = named + [b.bug for b in result.remarks if case.bug in REMARKS]
    return case.bug in said, [n for n in named if n != case.bug]


HEADER = ("kind", "bug", "program", "found", "other_bugs", "remarks", "not_checked",
          "cpu_seconds")  # fmt: skip


def main() -> None:
    """Score all programs; those that stand in raw.csv already are not run again."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="", help="parts of names, with commas")
    parser.add_argument("--kind", default="", help="planted, healthy or alike")
    parser.add_argument("--write", type=Path, required=True, help="folder of raw.csv")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.write.mkdir(parents=True, exist_ok=True)
    raw = options.write / "raw.csv"
    if not raw.exists():
        raw.write_text(",".join(HEADER) + "\n", encoding="utf-8")
    done = {row["program"] for row in read(raw)}
    remaining = [c for c in all_cases() if c.name not in done and options.kind in c.kind
              and any(part in c.name for part in options.only.split(","))]  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        for number, case in enumerate(remaining, 1):
            row = score(case, Path(name))
            print(
                f"{number}/{len(remaining)} {row['cpu_seconds']} s", *row.values(), file=sys.stderr
            )
            with raw.open("a", newline="", encoding="utf-8") as file:
                csv.DictWriter(file, HEADER).writerow(row)
    summary = summarise(read(raw))
    (options.write / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    print(json.dumps(summary))


def score(case: ProgramExample, folder: Path) -> dict[str, str]:
    """A row of raw.csv."""
    result, seconds = check(case, folder)
    hit, others = judge(case, result)
    remarks = " ".join(b.bug for b in result.remarks)
    values = (case.kind, case.bug or "", case.name, str(int(hit)), " ".join(others), remarks,
              str(len(result.not_checked)), f"{seconds:.2f}")  # fmt: skip
    return dict(zip(HEADER, values, strict=True))


def read(raw: Path) -> list[dict[str, str]]:
    """The rows of raw.csv."""
    with raw.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def summarise(rows: list[dict[str, str]]) -> dict[str, object]:
    """Counts, shares and 95 % intervals."""
    planted = [r for r in rows if r["kind"] == "planted"]
    sound = [r for r in rows if r["kind"] != "planted"]
    hits = sum(r["found"] == "1" for r in planted)
    alarms = sum(bool(r["other_bugs"]) for r in sound)
    every = {b.name for b in BUGS}
    missed = {r["bug"] for r in planted if r["found"] == "0"}
    seconds = sorted(float(r["cpu_seconds"]) for r in rows if r["cpu_seconds"])
    return {
        "bugs": len(every),
        "bugs_found_in_every_program": len(every & {r["bug"] for r in planted} - missed),
        "bugs_found_in_some_program": len({r["bug"] for r in planted if r["found"] == "1"}),
        "planted": len(planted),
        "found": hits,
        "found_share_95": interval(hits, len(planted)),
        "planted_with_another_bug_named_too": sum(bool(r["other_bugs"]) for r in planted),
        "healthy": len(sound),
        "alarms": alarms,
        "alarm_share_95": interval(alarms, len(sound)),
        "cpu_seconds_median": seconds[len(seconds) // 2],
        "cpu_seconds_95th": seconds[int(0.95 * (len(seconds) - 1))],
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
        "command": "python benchmarks/diagnosis/programs/score.py --write benchmarks/results/bugs",
    }


if __name__ == "__main__":
    main()
