"""How many bugs `descend check` finds in other people's kinds of programs, and its false alarms.

    python benchmarks/check/score.py --half first --write benchmarks/results/bugs

`programs/` holds 30 sound programs in as many styles. `plant.py` plants bugs in them by
mechanical edits. Writes styles_raw.csv (a row a program) and styles_summary.json. Can be stopped
and taken up again. Needs accelerate, lightning, peft and trl for the programs that use them.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "diagnosis" / "programs"))
sys.path.insert(0, str(Path(__file__).parent))

from plant import RULES, plant
from wilson import interval

HERE = Path(__file__).parent
HEADER = ("half", "program", "bug", "named", "other_bugs", "checks", "cpu_seconds")
SAME = {"causal_mask_missing": {"causal_mask_leaky"}, "causal_mask_leaky": {"causal_mask_missing"}}
"""Bugs whose names say the same of a network that sees what it should not."""

Case = tuple[str, str, str, str]
"""Half, program, bug ("" for none), source."""


def cases(half: str, per_bug: int) -> list[Case]:
    """The sound programs of a half, then at most `per_bug` programs for each bug."""
    files = sorted((HERE / "programs").glob("p*.py"))
    chosen = [f for n, f in enumerate(files) if (n % 2 == 0) is (half == "first")]
    listed = [(half, f.stem, "", f.read_text(encoding="utf-8")) for f in chosen]
    for number, bug in enumerate(RULES):
        order = chosen[number % len(chosen) :] + chosen[: number % len(chosen)]
        edited = [(half, f.stem, bug, plant(f.stem, f.read_text(encoding="utf-8"), bug) or "")
                  for f in order]  # fmt: skip
        listed += [c for c in edited if c[3]][:per_bug]
    return listed


def score(case: Case) -> dict[str, str]:
    """Check one program in this process."""
    from descend.program_check.bug_report import ProgramError
    from descend.program_check.bugs import REMARKS
    from descend.program_check.run_checks import check_module

    half, name, bug, source = case
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("program.py").write_text(source, encoding="utf-8")
        start = time.process_time()
        try:
            checked = check_module("program.py")
            reported = [b.bug for b in checked.bugs]
            remarks = [b.bug for b in checked.remarks]
            applied = str(checked.num_applied)
        except ProgramError as error:
            reported, remarks, applied = [], [], f"0 {error.actual[:80]}"
        os.chdir(before)
    right = {bug, *SAME.get(bug, ())}
    named = [b for b in reported + (remarks if bug in REMARKS else []) if b in right]
    others = [b for b in reported if b not in right]
    seconds = f"{time.process_time() - start:.2f}"
    return dict(zip(HEADER, (half, name, bug, str(int(bool(named))), " ".join(others), applied,
                             seconds), strict=True))  # fmt: skip


def summarize(rows: list[dict[str, str]]) -> dict[str, object]:
    """Counts and 95 % intervals, of each half and of both."""
    summary: dict[str, object] = {}
    for half in ("first", "second", "both"):
        own = [r for r in rows if half in (r["half"], "both")]
        sound = [r for r in own if not r["bug"]]
        planted = [r for r in own if r["bug"]]
        if not own:
            continue
        named, alarms = (
            sum(r["named"] == "1" for r in planted),
            sum(bool(r["other_bugs"]) for r in sound),
        )
        summary[half] = {
            "sound": len(sound),
            "false_alarms": alarms,
            "false_alarm_share_95": interval(alarms, len(sound)),
            "planted": len(planted),
            "kinds_planted": len({r["bug"] for r in planted}),
            "named": named,
            "named_share": round(named / max(1, len(planted)), 3),
            "named_share_95": interval(named, len(planted)),
            "missed": [f"{r['bug']} in {r['program']}" for r in planted if r["named"] == "0"],
            "planted_with_another_bug_named_too": sum(bool(r["other_bugs"]) for r in planted),
        }
    return summary


def main() -> None:
    """Score the programs of a half that are not in the file yet."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--half", choices=("first", "second"), required=True)
    parser.add_argument("--only", default="", help="a bug or the start of a program's name")
    parser.add_argument("--per-bug", type=int, default=4, help="programs for each bug")
    parser.add_argument("--part", default="1/1", help="2/3: the second of three processes")
    parser.add_argument("--write", type=Path, required=True)
    options = parser.parse_args()
    raw = (options.write / "styles_raw.csv").resolve()
    if not raw.exists():
        raw.write_text(",".join(HEADER) + "\n", encoding="utf-8")
    rows = list(csv.DictReader(raw.open(encoding="utf-8")))
    done = {(r["program"], r["bug"]) for r in rows}
    number, _, parts = options.part.partition("/")
    for case in cases(options.half, options.per_bug)[int(number) - 1 :: int(parts)]:
        requested = options.only in ("", case[2]) or (
            bool(options.only) and case[1].startswith(options.only)
        )
        if (case[1], case[2]) in done or not requested:
            continue
        row = score(case)
        print(*row.values(), sep="  ", flush=True)
        with raw.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, HEADER).writerow(row)
    summary = summarize(list(csv.DictReader(raw.open(encoding="utf-8"))))
    raw.with_name("styles_summary.json").write_text(json.dumps(summary, indent=1) + "\n")


if __name__ == "__main__":
    main()
