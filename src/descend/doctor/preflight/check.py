"""The preflight of a training program: every bug looked for, found or not, or not to be told."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from types import ModuleType
from typing import Any

import msgspec
import torch

from descend.doctor.bugs import BUGS
from descend.doctor.preflight.doubt import CannotTell
from descend.doctor.preflight.findings import Bug, CouldNotCheck, Found, Noted, Outcome
from descend.doctor.preflight.keep import kept
from descend.doctor.preflight.program import Program, describe, load_program, program_of, seed_all


class FoundBug(msgspec.Struct, frozen=True):
    """A bug, or something worth a remark."""

    bug: str
    evidence: str
    """Measured numbers."""
    where: str
    how_to_mend: str


class NotChecked(msgspec.Struct, frozen=True):
    """A bug that could not be looked for."""

    bug: str
    why: str


class Checked(msgspec.Struct, frozen=True):
    """What a preflight came to: every bug stands in one of the four lists."""

    program: str
    bugs: list[FoundBug]
    remarks: list[FoundBug]
    checked: list[str]
    """Bugs that were looked for and are not there."""
    not_checked: list[NotChecked]


def check_file(spec: str) -> Checked:
    """Import the module `spec` (a dotted name or a path to a .py file) and check it.

    `ProgramError` if it cannot be imported or has no `model`.
    """
    with _quiet():
        return check_program(load_program(spec))


def check_namespace(program: ModuleType | Mapping[str, Any]) -> Checked:
    """Check what is loaded already; it is left as it was found."""
    if isinstance(program, ModuleType):
        made = program_of(vars(program), program.__name__, getattr(program, "__file__", None))
    else:
        made = program_of(program, "the namespace")
    with _quiet():
        return check_program(made)


def check_program(program: Program) -> Checked:
    """Look for every bug."""
    outcomes = [(bug, _look(bug, program)) for bug in BUGS]
    return Checked(
        program=program.name,
        bugs=[_entry(b, o) for b, o in outcomes if isinstance(o, Found)],
        remarks=[_entry(b, o) for b, o in outcomes if isinstance(o, Noted)],
        checked=[b.name for b, o in outcomes if not isinstance(o, Found | Noted | CouldNotCheck)],
        not_checked=[NotChecked(b.name, o.because) for b, o in outcomes
                     if isinstance(o, CouldNotCheck)],
    )  # fmt: skip


def _look(bug: Bug, program: Program) -> Outcome:
    with kept(program.namespace, program.parts):
        seed_all()
        try:
            return bug.look(program)
        except CannotTell as reason:
            return CouldNotCheck(str(reason))
        except Exception as problem:  # a program that nobody thought of must not end the check
            return CouldNotCheck(f"looking for it failed with {describe(problem)}")


def _entry(bug: Bug, outcome: Found | Noted) -> FoundBug:
    mend = outcome.how_to_mend if isinstance(outcome, Found) else ""
    return FoundBug(bug.name, outcome.evidence, outcome.where, mend or bug.how_to_mend)


@contextmanager
def _quiet() -> Iterator[None]:
    """What the program prints and warns of is not asked for; nothing is compiled."""
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        with torch.compiler.set_stance("force_eager"):
            yield
