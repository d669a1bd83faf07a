"""How `descend check` answers for a folder of programs that somebody else wrote.

    for p in FOLDER/*.py; do (cd FOLDER; descend check $(basename $p); echo "exit $?") \\
        > REPORTS/$(basename $p .py).txt; done
    python benchmarks/check/score_folder.py FOLDER REPORTS --kinds KINDS.json --write OUT.csv

FOLDER has answers.json: a list of `file`, `sound`, `bug`, `line`, and `also_lines`. KINDS names,
for each file with a bug, the check that must report it; null where none looks for it.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
from pathlib import Path
from typing import Any

HEADER = ("file", "sound", "kind", "exit_code", "reported", "named", "at_line", "other_bugs")
ENTRY = re.compile(r"^([a-z0-9_]+)\n  .*\n  Location: (.*)$", re.MULTILINE)
"""A bug in a report; a warning has a word before its name."""


def score(report: str, answer: dict[str, Any], kind: str | None) -> dict[str, object]:
    """One row: what was reported, and whether it is the bug, at its line."""
    bugs = dict(ENTRY.findall(report))
    code = int(re.findall(r"^exit (\d+)", report, re.MULTILINE)[-1])
    lines = {answer["line"], *answer.get("also_lines", ())}
    where = [int(n) for n in re.findall(r":(\d+)", bugs.get(kind or "", ""))]
    values = (
        answer["file"], answer["sound"], kind or "", code, " ".join(bugs), kind in bugs,
        bool(lines & set(where)), " ".join(b for b in bugs if b != kind),
    )  # fmt: skip
    return dict(zip(HEADER, values, strict=True))


def main() -> None:
    """Write a row for each program that has a report, and print the counts."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("reports", type=Path)
    parser.add_argument("--kinds", type=Path, required=True)
    parser.add_argument("--write", type=Path, required=True)
    options = parser.parse_args()
    answers = json.loads((options.folder / "answers.json").read_text(encoding="utf-8"))
    kinds = json.loads(options.kinds.read_text(encoding="utf-8"))
    rows = []
    for answer in answers:
        report = options.reports / f"{Path(answer['file']).stem}.txt"
        if report.exists():
            text = report.read_text(encoding="utf-8")
            rows.append(score(text, answer, kinds.get(answer["file"])))
    with options.write.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, HEADER)
        writer.writeheader()
        writer.writerows(rows)
    sound, planted = [r for r in rows if r["sound"]], [r for r in rows if not r["sound"]]
    print(f"sound: {sum(bool(r['reported']) for r in sound)} of {len(sound)} accused; "
          f"planted: {sum(bool(r['named']) for r in planted)} of {len(planted)} named, "
          f"{sum(bool(r['at_line']) for r in planted)} at the line, "
          f"{sum(bool(r['other_bugs']) for r in planted)} with another bug")  # fmt: skip


if __name__ == "__main__":
    main()
