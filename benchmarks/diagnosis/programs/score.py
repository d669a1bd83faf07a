"""How many planted bugs `descend check` finds, and how often it cries without one.

    python benchmarks/diagnosis/programs/score.py [--only TEXT] [--write FOLDER]

Writes raw.csv (a row a program) and summary.json. The programs are small: about half a second each.
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

from cases import Case, all_cases
from wilson import interval

from descend.doctor.bugs import BUGS
from descend.doctor.preflight.check import Checked, check_file


def check(case: Case, folder: Path) -> tuple[Checked, float]:
    """The preflight of one program, and its seconds, import included."""
    path = folder / "program.py"
    path.write_text(case.source, encoding="utf-8")
    began = time.perf_counter()
    found = check_file(str(path))
    return found, time.perf_counter() - began


def judge(case: Case, found: Checked) -> tuple[bool, list[str]]:
    """Whether the planted bug was named, and which others were."""
    named = [b.bug for b in found.bugs]
    # A remark is all that is said of missing positions.
    said = named + [b.bug for b in found.remarks if case.bug == "positions_missing"]
    return case.bug in said, [n for n in named if n != case.bug]


def main() -> None:
    """Score all programs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    parser.add_argument("--kind", default="")
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for case in (
            c
            for c in all_cases()
            if any(o in c.name for o in options.only.split(",")) and options.kind in c.kind
        ):
            found, seconds = check(case, Path(name))
            hit, others = judge(case, found)
            remarks = " ".join(b.bug for b in found.remarks)
            print(f"{len(rows)} {case.name}", file=sys.stderr)
            rows.append((case.kind, case.bug or "", case.name, int(hit), " ".join(others), remarks,
                         len(found.not_checked), f"{seconds:.2f}"))  # fmt: skip
            if others or (case.bug and not hit):
                why = [n.why for n in found.not_checked if n.bug == case.bug]
                print(f"{case.name}: found {hit}, others {others} {why}", file=sys.stderr)
                for b in found.bugs:
                    print(f"    {b.bug}: {b.evidence}", file=sys.stderr)
    summary = summarise(rows)
    print(json.dumps(summary, indent=1))
    if options.write:
        options.write.mkdir(parents=True, exist_ok=True)
        with (options.write / "raw.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("kind", "bug", "program", "found", "other_bugs", "remarks",
                             "not_checked", "seconds"))  # fmt: skip
            writer.writerows(rows)
        (options.write / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")


def summarise(rows: list[tuple[object, ...]]) -> dict[str, object]:
    """Counts, shares and 95 % intervals."""
    planted = [r for r in rows if r[0] == "planted"]
    sound = [r for r in rows if r[0] != "planted"]
    hits = sum(int(str(r[3])) for r in planted)
    alarms = sum(bool(r[4]) for r in sound)
    every = {b.name for b in BUGS}
    whole = {bug for bug in every if all(r[3] for r in planted if r[1] == bug)}
    some = {str(r[1]) for r in planted if r[3]}
    seconds = sorted(float(str(r[7])) for r in rows)
    return {
        "bugs": len(every),
        "bugs_found_in_every_program": len(whole),
        "bugs_found_in_some_program": len(some),
        "planted": len(planted),
        "found": hits,
        "found_share_95": interval(hits, len(planted)),
        "planted_with_another_bug_named_too": sum(bool(r[4]) for r in planted),
        "healthy": len(sound),
        "alarms": alarms,
        "alarm_share_95": interval(alarms, len(sound)),
        "seconds_median": seconds[len(seconds) // 2] if seconds else None,
        "seconds_95th": seconds[int(0.95 * (len(seconds) - 1))] if seconds else None,
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
    }


if __name__ == "__main__":
    main()
