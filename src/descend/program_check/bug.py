"""A bug as the list of bugs knows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from descend.program_check.program import Program
from descend.program_check.results import CheckResult


@dataclass(frozen=True)
class Bug:
    """A bug as the list of bugs knows it: its name, how to look for it, how to fix it."""

    name: str
    detect: Callable[[Program], CheckResult]
    fix: str


def name_of(module: str) -> str:
    """Return the name of the bug that stands in a module: that of the file."""
    return module.rpartition(".")[2]
