"""What is said when the preflight finds something: there is nothing that a user could mend."""

from __future__ import annotations

from descend.errors import SelfCheckError


def self_check_error(where: str, actual: str, expected: str) -> SelfCheckError:
    """The error for something in descend that is not as it should be."""
    return SelfCheckError(where, actual, expected, "report this")
