"""How far work is: one call, which a terminal, a web page or a test implements."""

from __future__ import annotations

from typing import Protocol


class ProgressCallback(Protocol):
    """Receives the stage of the work and the fraction of that stage that is done."""

    def __call__(self, stage: str, fraction: float, /) -> None:
        """Take note that `fraction` (0 to 1) of `stage` is done."""


def ignore_progress(stage: str, fraction: float, /) -> None:
    """Do nothing: nobody watches."""
