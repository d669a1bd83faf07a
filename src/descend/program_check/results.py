"""What looking for a bug comes to: found, not found, or undetermined, and why."""

from __future__ import annotations

from dataclasses import dataclass


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
    applies: bool = True
    """False where the program has nothing that the bug is about."""


class UndeterminedError(Exception):
    """Signals that the program gives no hold for a probe; becomes `Undetermined`."""


CheckResult = BugPresent | BugAbsent | Remark | Undetermined
