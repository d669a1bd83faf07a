"""What it takes a worker to start, before it trains anything: Python and torch are read in.

Measured at every start and kept, so that the next series is announced correctly from its first line
on.
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

import msgspec

from descend.data.cache_dir import cache_dir
from descend.runs.atomic_write import write_file_atomic

DEFAULT_STARTUP_SECONDS = 3.0
"""Seconds, where none was started yet on this machine. Origin: 2 to 5 on a core of a virtual one
beside other programs."""


def worker_startup_seconds() -> float:
    """Seconds from asking for a worker until it can train, as it was the last time."""
    with suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode(_file().read_bytes(), type=float)
    return DEFAULT_STARTUP_SECONDS


def record_worker_startup(began: float) -> None:
    """A worker requested when `time.monotonic()` was `began` is ready now."""
    with suppress(OSError):  # a cache that cannot be written is met again where it matters
        write_file_atomic(_file(), msgspec.json.encode(round(time.monotonic() - began, 2)))


def _file() -> Path:
    return cache_dir() / "trials" / "start.json"
