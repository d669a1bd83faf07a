"""A check of fine-tuning data in words."""

from __future__ import annotations

from descend.data_check.problem_report import DataCheck
from descend.units import format_count

MAX_LINES = 10
"""Line numbers that are listed; `--json` has all."""


def format_data_check(check: DataCheck) -> str:
    """Problems first, then what was and what could not be looked for."""
    num_problems = format_count(len(check.problems), "problem") if check.problems else "no problem"
    lines = [f"{check.file}: {format_count(check.num_examples, 'example')}, {num_problems} found"]
    for problem in check.problems:
        lines += [
            "", problem.problem, f"  {problem.evidence}",
            f"  {format_lines(problem.lines, check.number)}", f"  Fix: {problem.fix}",
        ]  # fmt: skip
    for remark in check.remarks:
        lines += [
            "", f"Warning: {remark.problem}", f"  {remark.evidence}",
            f"  {format_lines(remark.lines, check.number)}",
        ]  # fmt: skip
    if check.checked:
        lines += ["", f"Passed ({len(check.checked)}): {', '.join(check.checked)}"]
    if check.not_checked:
        lines += ["", f"Not checked ({len(check.not_checked)}):"]
        lines += [f"  {one.problem}: {one.why}" for one in check.not_checked]
    return "\n".join(lines)


def format_lines(numbers: list[int], number: str = "line") -> str:
    """Return `Line 4`, or `Lines 4, 5, 6, … (12 in all)`; of a list `Example 4`."""
    listing = ", ".join(map(str, numbers[:MAX_LINES]))
    more = f", … ({len(numbers)} in all)" if len(numbers) > MAX_LINES else ""
    return f"{number.capitalize()}{'s' if numbers[1:] else ''} {listing}{more}"
