"""What is said when the preflight finds something: there is nothing that a user could mend."""

from __future__ import annotations

from descend.errors import PreflightError


def fault(where: str, found: str, expected: str) -> PreflightError:
    """The error for something in descend that is not as it should be."""
    return PreflightError(where, found, expected, "report this")
