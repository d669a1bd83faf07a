"""What `--json` prints where a verb fails: one object, like any other result."""

from __future__ import annotations

from typing import Any

from descend.cli.output import result_json
from descend.errors import DescendError


def print_error(kind: str, message: str, exit_code: int, error: DescendError | None = None) -> None:
    """Print `{"error": {...}}` on standard output; of our own `error` its four facts too."""
    content: dict[str, Any] = {"kind": kind, "message": message, "exit_code": exit_code}
    if error is not None:
        content |= {
            "where": error.where,
            "found": error.found,
            "expected": error.expected,
            "fix": error.what_to_do,
            "next": error.next_command,
        }
    result_json({"error": content})
