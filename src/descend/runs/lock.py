"""One writer at a time in a run folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from descend.errors import DiskWriteError, RunLockedError
from descend.runs.atomic_write import (
    PRIVATE,
    check_real_folder,
    disk_error,
    make_folder,
    recover_partial_writes,
)
from descend.runs.checkpoint_folders import CHECKPOINTS
from descend.runs.file_lock import LOCK, NO_LOCKS, release_lock, try_lock
from descend.runs.run_files import OWN_FILES, SNAPSHOTS


@dataclass(frozen=True)
class LockedRunFolder:
    """A run folder while it is held for writing."""

    path: Path
    identity: tuple[int, int] | None
    """Device and inode, by which the system knows it; None where it has no such numbers."""

    def check(self) -> None:
        """Raise `DiskWriteError` if the folder was deleted, moved or replaced since it is held."""
        if self.identity is not None and self.identity != _identity(self.path):
            raise DiskWriteError(
                str(self.path), "a folder that was deleted, moved or replaced during the run",
                "the folder that the run writes to",
                "move it back and resume from its last checkpoint, or train again",
            )  # fmt: skip


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        status = folder.stat()
    except OSError:
        return (-1, -1)
    return (status.st_dev, status.st_ino) if status.st_ino else None


@contextmanager
def lock_run_folder(folder: Path) -> Iterator[LockedRunFolder]:
    """Hold `folder` for writing; `RunLockedError` at once if another process holds it,
    `DiskWriteError` if it cannot be made. What a writer that was killed left there is put right
    first.

    The lock is the operating system's: it goes with the process, however that ends. A new
    folder is private, and synced into its parent. A link as checkpoints/, snapshots/
    or .lock is refused.
    """
    try:
        make_folder(folder, PRIVATE)
        for name in (CHECKPOINTS, SNAPSHOTS):
            check_real_folder(folder / name)
    except OSError as problem:
        raise disk_error(folder, problem) from None
    refusal = RunLockedError(
        str(folder), "another process that is writing to it", "a folder of its own for a run",
        "wait until that one ends, or choose another save_dir",
    )  # fmt: skip
    with hold_lock(folder, refusal):
        recover_partial_writes(folder / CHECKPOINTS)
        recover_partial_writes(folder / SNAPSHOTS)
        recover_partial_writes(
            folder, OWN_FILES
        )  # records beside the model may be written without the lock
        yield LockedRunFolder(folder, _identity(folder))


@contextmanager
def hold_lock(folder: Path, refusal: RunLockedError) -> Iterator[None]:
    """Hold the lock in `folder`; raises `refusal` at once if another process does, and
    `DiskWriteError` if it cannot be made."""
    try:
        _check_lock(folder / LOCK)
        descriptor = try_lock(folder / LOCK)
    except OSError as problem:
        raise _lock_error(folder, problem) from None
    if descriptor is None:
        raise refusal
    try:
        yield
    finally:
        release_lock(descriptor)


def _lock_error(folder: Path, problem: OSError) -> DiskWriteError:
    """Return the sentence for a lock that cannot be made; without one nothing is written."""
    if problem.errno not in NO_LOCKS:
        return disk_error(folder, problem)
    return DiskWriteError(
        str(folder), f"a disk that cannot lock files ({problem.strerror})",
        "a disk that can, so that no two processes write to one folder",
        "choose another folder, on a disk of this machine",
    )  # fmt: skip


def _check_lock(file: Path) -> None:
    """Raise `OSError` for a lock that is no file: opening it would cut another file, or wait."""
    if os.path.lexists(file) and not stat.S_ISREG(file.lstat().st_mode):
        raise OSError(None, "its .lock is not a regular file")


def is_run_locked(folder: Path) -> bool:
    """Return whether another process holds `folder` for writing, without waiting.

    The lock is taken for an instant to find out, and a folder without one is left as it is.
    """
    if not os.path.isfile(folder / LOCK):
        return False
    try:
        descriptor = try_lock(folder / LOCK)
    except OSError:
        return False
    if descriptor is None:
        return True
    release_lock(descriptor)
    return False
