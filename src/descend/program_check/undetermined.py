"""What a probe raises that the program gives no hold for."""

from __future__ import annotations


class UndeterminedError(Exception):
    """Becomes `findings.CouldNotCheck`, with these words as the reason."""
