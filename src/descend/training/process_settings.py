"""What a run changes of the process that it lives in, and gives back."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from descend.machine import count_idle_cores, free_memory_bytes

# Of glibc's malloc.h; and the highest that its thresholds reach by themselves.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_USUAL_MMAP, _USUAL_TRIM = 2**25, 2**26
_NEVER = 2**30
_SMALL = 2**20

AMPLE_FACTOR = 4
"""What a run needs, times this, must be free where its process is to keep what it frees: the pieces
that stay take up to twice of what is in use (benchmarks/reliability/memory_peak.py)."""


@contextmanager
def limit_threads_to_idle_cores() -> Iterator[None]:
    """Meanwhile torch has no more threads than there are cores at rest: each piece of work waits
    for the slowest of them, and with one core taken by another program two threads may take ten
    times as long as one."""
    before = torch.get_num_threads()
    torch.set_num_threads(min(before, count_idle_cores()))
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def restore_process_state(needed: int | None = None) -> Iterator[None]:
    """Afterwards torch has the threads that it had: they are what a later choice finds as all there
    are. Meanwhile, what is freed stays with the process, if there is ample memory for what needs
    `needed` bytes (None: little).

    Each step asks for the memory that the one before has freed. By itself glibc gives large pieces
    back to the system, which hands them out again page by page, and empty: 32,000 pages and 7 % of
    a step of the guide's network (benchmarks/results/speed/xeon/step_seconds.txt).
    """
    before = torch.get_num_threads()
    size = _NEVER if needed is None or _has_ample_memory(needed) else _SMALL
    changed = _set_thresholds(mmap=size, trim=size)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        if changed:
            _set_thresholds(mmap=_USUAL_MMAP, trim=_USUAL_TRIM)
            ctypes.CDLL(None).malloc_trim(0)


def _has_ample_memory(needed: int) -> bool:
    free = free_memory_bytes("cpu")
    return free is None or free >= AMPLE_FACTOR * needed


def _set_thresholds(mmap: int, trim: int) -> bool:
    """Return whether the C library is glibc; others have nothing to set."""
    if not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt"):
        return False
    if not library.mallopt(_M_MMAP_THRESHOLD, mmap):
        library.mallopt(_M_MMAP_THRESHOLD, _USUAL_MMAP)  # some take no more
    library.mallopt(_M_TRIM_THRESHOLD, trim)
    return True
