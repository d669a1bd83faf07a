"""The lines that a check prints while it runs."""

from __future__ import annotations

from descend.program_check.bug_report import Checked, NotChecked
from descend.program_check.child_process import NOT_REACHED, STARTED, ChildReply, stage_of
from descend.report.text.check_summary import progress_lines


def test_progress_lines_prints_a_line_when_seconds_have_passed() -> None:
    now, lines = [100.0], list[str]()
    progress = progress_lines(lines.append, 300.0, clock=lambda: now[0])
    for second in range(13):
        now[0] = 100.0 + second
        progress(f"stage {second}", second / 13)
    assert lines == ["stage 5 (5 s of at most 300 s)", "stage 10 (10 s of at most 300 s)"]


def test_stage_of_names_the_next_check_when_some_are_done() -> None:
    waiting = [NotChecked("b", NOT_REACHED), NotChecked("c", NOT_REACHED)]
    checked = Checked("p.py", [], [], ["a"], [NotChecked("d", "no `step`"), *waiting])
    assert stage_of(ChildReply(checked=checked)) == ("check 3 of 4: b", 0.5)
    assert stage_of(ChildReply(stage=STARTED)) == ("loading torch", 0.0)
    assert stage_of(ChildReply()) == ("running up to the first training step", 0.0)
