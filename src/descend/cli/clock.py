"""When the command that runs now was given."""

from __future__ import annotations

import time

from descend.machine import process_began

_began: list[float] = []


def start_with_process() -> None:
    """Count the time of the command from the start of this process."""
    _began[:] = [process_began()]


def command_began() -> float:
    """When the command was given, by `time.perf_counter`; now, where it runs in another program."""
    return _began[0] if _began else time.perf_counter()
