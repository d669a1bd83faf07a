"""Errors for programs and for people: one object with `--json`, and our words for the parser's."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from descend.cli.output import print_json
from descend.config_errors import SYNONYMS
from descend.errors import DescendError


def print_error(kind: str, message: str, exit_code: int, error: DescendError | None = None) -> None:
    """Print `{"error": {...}}` on standard output; of our own `error` its four facts too."""
    content: dict[str, Any] = {"kind": kind, "message": message, "exit_code": exit_code}
    if error is not None:
        content |= {
            "where": error.location,
            "found": error.actual,
            "expected": error.expected,
            "fix": error.fix,
            "next": error.next_command,
        }
    print_json("error", {"error": content})


_USAGE = (
    (r"No such option: (\S+) \(Possible options: ([^)]+)\)",
     r"no such option: \1. Did you mean \2?"),
    (r"Input should be a valid integer, unable to parse string as an integer",
     "expected a whole number"),
    (r"Input should be a valid number, unable to parse string as a number", "expected a number"),
    (r"Input should be greater than or equal to (\S+)", r"expected \1 or more"),
    (r"Input should be less than or equal to (\S+)", r"expected \1 or less"),
    (r"Input should be greater than (\S+)", r"expected more than \1"),
    (r"Input should be less than (\S+)", r"expected less than \1"),
    (r"Value error, '.*' is not one of (.*)", r"expected one of \1"),
    (r"Input should be", "expected"),
)  # fmt: skip


def translate_usage(message: str, options: Collection[str] = ()) -> str:
    """Return `message` of the parser of the command line, in our words.

    `options`: the flags of the command. One of them is suggested for its name in other libraries.
    """
    unknown = re.match(r"No such option: --([\w-]+)", message)
    if unknown:
        meant = SYNONYMS.get(unknown[1].lower().replace("-", "_"), "").replace("_", "-")
        if f"--{meant}" in options:
            return f"no such option: --{unknown[1]}. Did you mean --{meant}?"
    for theirs, ours in _USAGE:
        message = re.sub(theirs, ours, message)
    return message
