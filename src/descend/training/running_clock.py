"""The clock by which a run has its time: it stands still while the run is paused."""

from __future__ import annotations

import time

_paused_seconds = [0.0]


def running_clock() -> float:
    """Return `time.perf_counter`, less the pauses of this process."""
    return time.perf_counter() - _paused_seconds[0]


def leave_out_of_clock(seconds: float) -> None:
    """Let `seconds` not count: the run was paused meanwhile."""
    _paused_seconds[0] += seconds
