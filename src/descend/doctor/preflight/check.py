"""The preflight of a training program: every bug looked for, found or not, or not to be told."""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from types import ModuleType
from typing import Any

import msgspec
import torch

from descend.doctor.bugs import BUGS
from descend.doctor.preflight.check_result import Checked, FoundBug, NotChecked
from descend.doctor.preflight.child_process import NOT_REACHED
from descend.doctor.preflight.coverage import not_covered
from descend.doctor.preflight.doubt import CannotTell
from descend.doctor.preflight.findings import Bug, CouldNotCheck, Found, Noted, Outcome
from descend.doctor.preflight.keep import kept
from descend.doctor.preflight.program import (
    ENDINGS,
    Program,
    describe,
    load_program,
    program_of,
    seed_all,
)
from descend.doctor.preflight.source_lines import recorded_calls

Report = Callable[[Checked], None]


def check_file(spec: str, arguments: Sequence[str] = (), report: Report | None = None) -> Checked:
    """Import the module `spec` (a dotted name or a path to a .py file) and check it.

    `arguments` are the program's own, `report` is given what is known after each check.
    `ProgramError` if it cannot be imported or has no `model`.
    """
    with _quiet(), _arguments(spec, arguments):
        return check_program(load_program(spec), report)


def check_namespace(program: ModuleType | Mapping[str, Any]) -> Checked:
    """Check what is loaded already; it is left as it was found."""
    if isinstance(program, ModuleType):
        made = program_of(vars(program), program.__name__, getattr(program, "__file__", None))
    else:
        made = program_of(program, "the namespace")
    with _quiet():
        return check_program(made)


def check_program(program: Program, report: Report | None = None) -> Checked:
    """Look for every bug."""
    outcomes: list[tuple[Bug, Outcome]] = []
    with recorded_calls(program.file) as called:
        for bug in BUGS:
            if report is not None:
                report(_result(program, outcomes))
            outcomes.append((bug, _look(bug, program)))
    result = _result(program, outcomes)
    applied = {b.name for b in BUGS} - {n.bug for n in result.not_checked}
    return msgspec.structs.replace(result, not_covered=not_covered(program, called, applied))


def _result(program: Program, outcomes: list[tuple[Bug, Outcome]]) -> Checked:
    """What `outcomes` come to; a bug without an outcome was not reached."""
    return Checked(
        program=program.name,
        bugs=[_entry(b, o) for b, o in outcomes if isinstance(o, Found)],
        remarks=[_entry(b, o) for b, o in outcomes if isinstance(o, Noted)],
        checked=[b.name for b, o in outcomes if not isinstance(o, Found | Noted | CouldNotCheck)],
        not_checked=[NotChecked(b.name, o.because) for b, o in outcomes
                     if isinstance(o, CouldNotCheck)]
        + [NotChecked(b.name, NOT_REACHED) for b in BUGS[len(outcomes):]],
        ended=program.endings[0] if program.endings else "",
    )  # fmt: skip


def _look(bug: Bug, program: Program) -> Outcome:
    with kept(program.namespace, program.parts):
        seed_all()
        try:
            return bug.look(program)
        except CannotTell as reason:
            return CouldNotCheck(str(reason))
        except ENDINGS as ending:
            program.endings.append(f"the program ended itself ({describe(ending)})")
            return CouldNotCheck(program.endings[-1])
        except Exception as problem:  # a program that nobody thought of must not end the check
            return CouldNotCheck(f"looking for it failed with {describe(problem)}")


def _entry(bug: Bug, outcome: Found | Noted) -> FoundBug:
    mend = outcome.how_to_mend if isinstance(outcome, Found) else ""
    return FoundBug(bug.name, outcome.evidence, outcome.where, mend or bug.how_to_mend)


@contextmanager
def _arguments(spec: str, arguments: Sequence[str]) -> Iterator[None]:
    """`sys.argv` as the program would have it."""
    before = sys.argv
    sys.argv = [spec, *arguments]
    try:
        yield
    finally:
        sys.argv = before


@contextmanager
def _quiet() -> Iterator[None]:
    """What the program prints and warns of is not asked for; nothing is compiled."""
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        with torch.compiler.set_stance("force_eager"):
            yield
