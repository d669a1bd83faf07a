"""The lock of the operating system on a file: it goes with the process, however that ends."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from pathlib import Path

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


LOCK = ".lock"
"""The file of a folder by which one process at a time writes to it."""

CONTENTION = (errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK, errno.EDEADLK)
"""What systems say of a lock that another process has."""

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
"""What a disk says that has no locks, as some of a network."""


def try_lock(file: Path) -> int | None:
    """Return the descriptor that holds the lock on `file`, made if it is new; None if another
    process holds it. `OSError` if the disk refuses, as one that has no locks.

    No link is followed where the system can tell.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(file, flags, 0o644)
    try:
        _lock(descriptor)
    except OSError as problem:
        os.close(descriptor)
        if problem.errno in CONTENTION:
            return None
        raise
    return descriptor


def release_lock(descriptor: int) -> None:
    """Give back the lock of `try_lock`. A disk that refuses ends nothing: closing frees it too."""
    with suppress(OSError):
        _unlock(descriptor)  # a forked child may still have the file open
    with suppress(OSError):
        os.close(descriptor)
