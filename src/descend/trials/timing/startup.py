"""What it takes a worker to start, before it trains anything: Python and torch are read in.

Measured at every start and kept, so that the next series is announced correctly from its first line
on.
"""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from descend.data.cache_dir import cache_dir
from descend.runs.cached_record import read_cached, write_cached

DEFAULT_STARTUP_SECONDS = 3.0
"""Seconds, where none was started yet on this machine. Origin: 2 to 5 on a core of a virtual one
beside other programs."""


class _Startup(msgspec.Struct, frozen=True):
    """What the last start took."""

    seconds: float


def worker_startup_seconds() -> float:
    """Return seconds from asking for a worker until it can train, as it was the last time."""
    startup = read_cached(_file(), _Startup)
    return DEFAULT_STARTUP_SECONDS if startup is None else startup.seconds


def record_worker_startup(began: float) -> None:
    """Note that a worker requested when `time.monotonic()` was `began` is ready now."""
    write_cached(_file(), _Startup(round(time.monotonic() - began, 2)))


def _file() -> Path:
    return cache_dir() / "trials" / "start.json"
