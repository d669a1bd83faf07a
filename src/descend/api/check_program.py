"""`check`: bugs in a training program."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

from descend.training.process_settings import limit_threads_to_idle_cores

if TYPE_CHECKING:
    from descend.program_check.bug_report import Checked


def check(program: str | ModuleType | Mapping[str, Any]) -> Checked:
    """Look for bugs in a PyTorch training program: a module, its names, or where to import it.

    The conventions are those of docs/check.md. What is given as a module or a mapping is left
    unchanged. Raises `ProgramError` (a `UserError`) without a model or when an import fails.
    """
    from descend.program_check.run_checks import check_module, check_namespace

    with limit_threads_to_idle_cores():
        return check_module(program) if isinstance(program, str) else check_namespace(program)
