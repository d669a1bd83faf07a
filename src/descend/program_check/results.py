"""What looking for a bug comes to: found, not found, or not to be told, and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from descend.program_check.program import Program


@dataclass(frozen=True)
class BugPresent:
    """The bug is there. `evidence` holds the measured numbers, `where` a place in the program."""

    evidence: str
    where: str
    fix: str = ""
    """Empty: what the bug's own record says."""


@dataclass(frozen=True)
class BugAbsent:
    """Looked, and it is not there. `evidence` says what was seen instead."""

    evidence: str


@dataclass(frozen=True)
class Remark:
    """Worth a remark, and no error."""

    evidence: str
    where: str


@dataclass(frozen=True)
class Undetermined:
    """The program does not show what is needed to tell."""

    reason: str


CheckResult = BugPresent | BugAbsent | Remark | Undetermined


@dataclass(frozen=True)
class Bug:
    """A bug as the list of bugs knows it: its name, how to look for it, how to mend it."""

    name: str
    detect: Callable[[Program], CheckResult]
    fix: str


def name_of(module: str) -> str:
    """The name of the bug that stands in a module: that of the file."""
    return module.rpartition(".")[2]
