"""Bytes of a stranger are tried in a child process with limits, once on each machine."""

from __future__ import annotations

from descend.data.cache_dir import is_checked, remember_checked
from descend.limited_process import LimitError, ProcessLimits, run_limited


def check_in_child(kind: str, module: str, content: bytes, limits: ProcessLimits) -> None:
    """Raise `ValueError` if `module.main()` dies of `content`, or answers with a problem in it.

    `kind` names the check. A content that passed it on this machine is not tried again.
    """
    if is_checked(kind, content):
        return
    try:
        fault = run_limited(module, content, str, limits)
    except LimitError as problem:
        raise ValueError(str(problem)) from None
    if fault:
        raise ValueError(fault)
    remember_checked(kind, content)
