"""A request that a run waits between two steps: a file in its folder, by any process."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from descend.runs.atomic_write import write_file_atomic

PAUSE_REQUEST = "pause_requested"


def request_pause(folder: Path) -> None:
    """Ask the process that trains the run in `folder` to wait after its next step."""
    write_file_atomic(folder / PAUSE_REQUEST, b"")


def withdraw_pause(folder: Path) -> None:
    """Let the run in `folder` go on."""
    with suppress(OSError):
        os.unlink(folder / PAUSE_REQUEST)


def is_pause_requested(folder: Path) -> bool:
    """Return whether the run in `folder` is to wait."""
    return os.path.isfile(folder / PAUSE_REQUEST)
