"""A program check as text."""

from __future__ import annotations

import time
from collections.abc import Callable

from descend.program_check.bug_report import BugReport, Checked
from descend.program_check.program import describe_missing
from descend.progress import ProgressCallback
from descend.units import format_count

NO_STEP = describe_missing("step")

STEP_TEMPLATE = """\
To run the remaining checks, define these in the file (docs/check.md):
  batches = ...                 # a list, generator or DataLoader of your loop

  def step(batch):              # the body of your loop, as it is
      ...
      return loss

  if __name__ == "__main__":    # a check makes no long training
      for batch in batches:
          step(batch)"""


SECONDS_BETWEEN_LINES = 5.0

NOTES = ("decay_on_norms",)
"""Remarks on a matter of choice, which stand after the warnings."""


def progress_lines(
    print_line: Callable[[str], None],
    timeout_seconds: float,
    clock: Callable[[], float] = time.monotonic,
) -> ProgressCallback:
    """Return a callback that says every few seconds what the check does, and how long it may
    take."""
    start = clock()
    printed = [start]

    def progress(stage: str, _fraction: float, /) -> None:
        now = clock()
        if now - printed[0] >= SECONDS_BETWEEN_LINES:
            printed[0] = now
            print_line(f"{stage} ({now - start:.0f} s of at most {timeout_seconds:g} s)")

    return progress


def format_check_report(report: Checked) -> str:
    """Bugs first, then remarks, then what was and what could not be looked for."""
    lines = [_headline(report)]
    if report.ended:
        lines += ["", f"The checks did not finish: {report.ended}"]
    for bug in report.bugs:
        lines += ["", *_entry(bug), f"  Fix: {bug.fix}",
                  f"  Learn more: descend explain {bug.bug}"]  # fmt: skip
    for remark in sorted(report.remarks, key=_is_note):
        lines += ["", *_entry(remark, "Note: " if _is_note(remark) else "Warning: ")]
    if report.checked:
        lines += [
            "",
            f"Passed ({len(report.checked)}): {', '.join(report.checked)}",
        ]
    if report.not_checked:
        lines += ["", f"Not checked ({len(report.not_checked)}):"]
        by_reason: dict[str, list[str]] = {}
        for one in report.not_checked:
            by_reason.setdefault(one.why, []).append(one.bug)
        lines += [f"  {', '.join(names)}: {why}" for why, names in by_reason.items()]
    if report.not_covered:
        lines += ["", f"Not covered ({len(report.not_covered)}):"]
        lines += [f"  {one}" for one in report.not_covered]
    return "\n".join(lines + _how_to_be_checked(report))


def _is_note(remark: BugReport) -> bool:
    return remark.bug in NOTES


def _headline(report: Checked) -> str:
    """Never that there is no bug where most were not looked for."""
    bugs, closed = len(report.bugs), sum(one.applies for one in report.not_checked)
    looked = bugs + len(report.remarks) + len(report.checked)
    text = "no bug found" if not bugs else format_count(bugs, "bug") + " found"
    if not report.is_complete:
        ran = f"{looked} of {looked + closed} checks could run"
        text = f"{ran}: {text}" if bugs else f"{ran}, and none of them found a bug"
    return f"{report.program}: {text}"


def _how_to_be_checked(report: Checked) -> list[str]:
    """Return the lines that let more be tried, where most was not since there is no `step`."""
    looked = len(report.bugs) + len(report.remarks) + len(report.checked)
    by_step = sum(NO_STEP in one.why for one in report.not_checked)
    return ["", *STEP_TEMPLATE.splitlines()] if by_step and len(report.not_checked) > looked else []


def _entry(bug: BugReport, before: str = "") -> list[str]:
    return [f"{before}{bug.bug}", f"  {bug.evidence}", f"  Location: {bug.where}"]
