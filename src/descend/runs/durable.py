"""Writing so that a crash, a kill or lost power leaves the old or the new, never half.

Write aside, sync the file, write the manifest, sync, rename, sync the parent folder: after the
rename has reached the disk the new state is whole; before it, the old one still stands.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from descend.errors import DiskError

MANIFEST = "manifest.json"

# What `write_file` and `write_folder` write aside and move away, with the number of their process.
_ASIDE = re.compile(r"\.(.+)\.\d+\.(partial|old)")


def write_file(path: Path, content: bytes) -> None:
    """Replace `path` by `content` in one step; `DiskError` if the disk refuses."""
    with _disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            _write_synced(aside, content)
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
        sync_folder(path.parent)


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Make `folder` of `files` with a manifest of their SHA-256, in one step.

    A folder of that name is replaced only after the new one was read back and verified.
    """
    with _disk_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
        old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
        shutil.rmtree(aside, ignore_errors=True)
        try:
            aside.mkdir()
            for name, content in files.items():
                _write_synced(aside / name, content)
            hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
            _write_synced(aside / MANIFEST, msgspec.json.encode(hashes))
            sync_folder(aside)
            if not verify_folder(aside):
                raise OSError(errno.EIO, "what was read back is not what was written")
            if folder.exists():
                folder.rename(old)
            aside.rename(folder)
            sync_folder(folder.parent)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
            if folder.exists():
                shutil.rmtree(old, ignore_errors=True)


def try_writing(folder: Path) -> None:
    """`OSError` if `folder` cannot be made or written in: found by making one of its name beside
    where it would stand, and taking that away again."""
    whole = folder.resolve()
    there = next(p for p in (whole, *whole.parents) if p.exists())
    with tempfile.TemporaryDirectory(prefix=".descend-", dir=there) as aside:
        (Path(aside) / whole.relative_to(there)).mkdir(parents=True, exist_ok=True)


def sweep(folder: Path, names: Container[str] | None = None) -> None:
    """Put right what killed writers of `folder` left aside, of `names` or of all.

    What was half written goes; what had been moved away comes back if nothing stands in its place.
    Only for who alone may write there. `DiskError` if the disk refuses.
    """
    with _disk_errors(folder):
        for aside in list(folder.glob(".*")):
            match = _ASIDE.fullmatch(aside.name)
            if match is None or (names is not None and match[1] not in names):
                continue
            place = folder / match[1]
            if match[2] == "old" and not place.exists() and verify_folder(aside):
                aside.rename(place)
            elif aside.is_dir():
                shutil.rmtree(aside, ignore_errors=True)
            else:
                aside.unlink(missing_ok=True)


def verify_folder(folder: Path) -> bool:
    """Whether every file that the manifest of `folder` names is there with its SHA-256."""
    try:
        hashes = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=dict[str, str])
        return all(
            hashlib.sha256((folder / name).read_bytes()).hexdigest() == expected
            for name, expected in hashes.items()
        )
    except (OSError, msgspec.DecodeError):
        return False


def sync_folder(folder: Path) -> None:
    """Make renames inside `folder` durable; a no-op where folders cannot be opened (Windows)."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise disk_error(path, problem) from None


def disk_error(path: Path, problem: OSError) -> DiskError:
    """The sentence for an `OSError` met while writing `path`."""
    full = problem.errno in (errno.ENOSPC, errno.EDQUOT)
    free = ""
    if full:
        existing = next((p for p in [path, *path.parents] if p.exists()), Path())
        free = f" with {shutil.disk_usage(existing).free / 1e6:.0f} MB free"
    return DiskError(
        str(path),
        f"a full disk{free}" if full else f"a disk that refuses ({problem.strerror or problem})",
        "room and permission to write",
        "free some space or choose another save_dir; what was saved before is untouched"
        if full
        else "check the permissions or choose another save_dir",
    )
