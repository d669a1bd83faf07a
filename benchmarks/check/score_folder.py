"""How `descend check` answers for a folder of programs that somebody else wrote.

    python benchmarks/check/score_folder.py FOLDER --kinds KINDS.json --write OUT.csv

FOLDER has programs and an answers.json: a list of `file`, `sound`, `bug`, `line`, and `also_lines`.
KINDS names, for each file with a bug, the check that must report it; null where none looks for it.
Each program is checked by the command line, as a user does. A file that stands in OUT already is
not checked again.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HEADER = ("file", "sound", "kind", "exit_code", "reported", "named", "at_line", "other_bugs",
          "seconds")  # fmt: skip


def check(path: Path) -> tuple[int, dict[str, Any]]:
    """Exit code and result of the command."""
    command = [sys.executable, "-m", "descend", "check", path.name, "--json", "--timeout", "1500"]
    run = subprocess.run(command, cwd=path.parent, capture_output=True, text=True, check=False)
    try:
        return run.returncode, json.loads(run.stdout)
    except ValueError:
        return run.returncode, {}


def score(folder: Path, answer: dict[str, Any], kind: str | None) -> dict[str, object]:
    """One row: what was reported, and whether it is the bug, at its line."""
    start = time.monotonic()
    code, result = check(folder / answer["file"])
    bugs = {b["bug"]: b["where"] for b in result.get("bugs", [])}
    lines = {answer["line"], *answer.get("also_lines", ())}
    where = [int(n) for n in re.findall(r":(\d+)", bugs.get(kind or "", ""))]
    values = (
        answer["file"], answer["sound"], kind or "", code, " ".join(bugs), kind in bugs,
        bool(lines & set(where)), " ".join(b for b in bugs if b != kind),
        round(time.monotonic() - start, 1),
    )  # fmt: skip
    return dict(zip(HEADER, values, strict=True))


def main() -> None:
    """Score the programs of a folder that are not in the file yet, and print the counts."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kinds", type=Path, required=True)
    parser.add_argument("--write", type=Path, required=True)
    options = parser.parse_args()
    answers = json.loads((options.folder / "answers.json").read_text(encoding="utf-8"))
    kinds = json.loads(options.kinds.read_text(encoding="utf-8"))
    if not options.write.exists():
        options.write.write_text(",".join(HEADER) + "\n", encoding="utf-8")
    done = {r["file"] for r in csv.DictReader(options.write.open(encoding="utf-8"))}
    for answer in answers:
        if answer["file"] in done:
            continue
        row = score(options.folder, answer, kinds.get(answer["file"]))
        print(*row.values(), sep="  ", flush=True)
        with options.write.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, HEADER).writerow(row)
    rows = list(csv.DictReader(options.write.open(encoding="utf-8")))
    sound = [r for r in rows if r["sound"] == "True"]
    planted = [r for r in rows if r["sound"] != "True"]
    print(f"sound: {sum(bool(r['reported']) for r in sound)} of {len(sound)} accused; "
          f"planted: {sum(r['named'] == 'True' for r in planted)} of {len(planted)} named, "
          f"{sum(r['at_line'] == 'True' for r in planted)} at the line, "
          f"{sum(bool(r['other_bugs']) for r in planted)} with another bug")  # fmt: skip


if __name__ == "__main__":
    main()
