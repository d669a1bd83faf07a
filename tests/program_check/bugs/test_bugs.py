"""Every bug: a program with it, its healthy twin, and one that only looks like it."""

from __future__ import annotations

from typing import Any

import pytest
from alike import ALIKE
from examples import all_cases
from pieces import source
from planted import PLANTED

from descend.program_check.bugs import BUGS, REMARKS

from ..check_source import check_source

CASES = all_cases()
# The rest is marked slow: the benchmark's score.py runs it too.
QUICK = {
    *(f"{bug}: {next(iter(variants))}" for bug, variants in PLANTED.items()),
    *(f"like {bug}: {next(iter(ALIKE[bug]))}" for bug in (
        "causal_mask_leaky", "targets_unshifted", "left_in_evaluation_mode",
        "gradients_not_zeroed", "checkpoint_not_loaded")),
    "nanoGPT", "torch encoder", "padded", "only a model", "float16 and scaler",
}  # fmt: skip


def test_every_bug_has_planted_and_lookalike_programs() -> None:
    names = [bug.name for bug in BUGS]
    assert list(PLANTED) == names
    assert list(ALIKE) == names
    assert len(CASES) == len({case.name for case in CASES})
    assert sum(case.bug is None for case in CASES) >= 150


@pytest.mark.parametrize(
    "case",
    [pytest.param(c, marks=() if c.name in QUICK else pytest.mark.slow, id=c.name) for c in CASES],
)
def test_check_reports_exactly_the_planted_bug(case: Any) -> None:
    report = check_source(case.source)
    said = report.remarks if case.bug in REMARKS else report.bugs
    expected = [] if case.bug is None else [case.bug]
    assert [b.bug for b in (report.bugs if case.bug is None else said) if b.bug in expected or
            b in report.bugs] == expected  # fmt: skip
    for bug in report.bugs:
        assert bug.evidence
        assert bug.where
        assert bug.fix


def test_check_lists_every_bug_exactly_once() -> None:
    report = check_source(source({}))
    listed = [b.bug for b in (*report.bugs, *report.remarks, *report.not_checked)] + report.checked
    assert sorted(listed) == sorted(bug.name for bug in BUGS)
    assert not report.bugs
    # The healthy twin of most plantings must be looked at, not passed over.
    assert len(report.checked) >= 20
