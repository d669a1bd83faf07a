"""Every bug: a program with it, its healthy twin, and one that only looks like it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks" / "diagnosis" / "programs"))

from alike import ALIKE
from examples import all_cases
from pieces import source
from planted import PLANTED

from descend.doctor.bugs import BUGS

Check = Callable[[str], Any]

CASES = all_cases()
# The rest is marked slow: the benchmark's score.py runs it too.
QUICK = {
    *(f"{bug}: {next(iter(ways))}" for bug, ways in PLANTED.items()),
    *(f"like {bug}: {next(iter(ALIKE[bug]))}" for bug in (
        "causal_mask_leaky", "targets_unshifted", "dropout_in_evaluation",
        "left_in_evaluation_mode", "gradients_not_zeroed", "not_shuffled",
        "batches_repeated", "softmax_before_cross_entropy",
        "initialisation_exploding", "checkpoint_not_loaded")),
    "nanoGPT", "time first", "torch encoder", "by hand", "padded", "only a model",
    "shuffled loader", "float16 and scaler",
}  # fmt: skip


def test_every_bug_has_planted_programs_and_some_that_look_like_it() -> None:
    names = [bug.name for bug in BUGS]
    assert list(PLANTED) == names
    assert list(ALIKE) == names
    assert len(CASES) == len({case.name for case in CASES})
    assert sum(case.bug is None for case in CASES) >= 150


@pytest.mark.parametrize(
    "case",
    [pytest.param(c, marks=() if c.name in QUICK else pytest.mark.slow, id=c.name) for c in CASES],
)
def test_what_is_planted_is_named_and_nothing_else(case: Any, check: Check) -> None:
    found = check(case.source)
    said = found.remarks if case.bug == "positions_missing" else found.bugs
    expected = [] if case.bug is None else [case.bug]
    assert [b.bug for b in (found.bugs if case.bug is None else said) if b.bug in expected or
            b in found.bugs] == expected  # fmt: skip
    for bug in found.bugs:
        assert bug.evidence
        assert bug.where
        assert bug.how_to_mend


def test_every_bug_stands_in_exactly_one_list(check: Check) -> None:
    found = check(source({}))
    listed = [b.bug for b in (*found.bugs, *found.remarks, *found.not_checked)] + found.checked
    assert sorted(listed) == sorted(bug.name for bug in BUGS)
    assert not found.bugs
    # The healthy twin of most plantings must be looked at, not passed over.
    assert len(found.checked) >= 20
