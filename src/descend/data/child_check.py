"""Bytes of a stranger are tried in a child process with limits, once on each machine."""

from __future__ import annotations

from typing import Protocol

from descend.data.cache_dir import is_checked, remember_checked
from descend.limited_process import LimitError, ProcessLimits, run_limited


class Facts(Protocol):
    """What a child says of the bytes it was given."""

    @property
    def problem(self) -> str | None:
        """Why they are refused; None if nothing is wrong."""


def check_in_child(
    kind: str, module: str, content: bytes, facts_type: type[Facts], limits: ProcessLimits
) -> None:
    """Raise `ValueError` if `module.main()` dies of `content`, or finds a problem in it.

    `kind` names the check. A content that passed it on this machine is not tried again.
    """
    if is_checked(kind, content):
        return
    try:
        facts = run_limited(module, content, facts_type, limits)
    except LimitError as problem:
        raise ValueError(str(problem)) from None
    if facts.problem is not None:
        raise ValueError(facts.problem)
    remember_checked(kind, content)
