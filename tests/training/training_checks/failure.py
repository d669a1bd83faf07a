"""What is raised where a check fails."""

from __future__ import annotations


def failure(where: str, actual: str, expected: str) -> AssertionError:
    """Name what is not as it should be."""
    return AssertionError(f"{where}: found {actual}, expected {expected}")
