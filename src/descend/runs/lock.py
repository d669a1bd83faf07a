"""One writer at a time in a run folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from descend.errors import LockedError
from descend.runs.durable import disk_error, sweep
from descend.runs.folder import CHECKPOINTS, MODEL_FILES


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Hold `folder` for writing; `LockedError` at once if another process holds it, `DiskError`
    if it cannot be made. What a writer that was killed left there is put right first.

    The lock is the operating system's: it goes with the process, however that ends.
    """
    lock = FileLock(folder / ".lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise LockedError(
            str(folder), "another process that is training in it", "a folder of its own for a run",
            "wait until that one ends, or choose another save_dir",
        ) from None  # fmt: skip
    except OSError as problem:
        raise disk_error(folder, problem) from None
    try:
        sweep(folder / CHECKPOINTS)
        sweep(folder, MODEL_FILES)  # records beside the model may be written without the lock
        yield
    finally:
        lock.release()
