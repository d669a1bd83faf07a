"""A folder of the cache: built aside, sealed by a manifest, synced, and checked before use.

What is damaged, or of another format, is made again: everything in the cache can be.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from descend.data.cache_dir import cache_dir
from descend.data.document_store import translate_disk_errors
from descend.errors import DescendError
from descend.guard import (
    ASIDE,
    decode_json,
    hash_file,
    is_stale,
    name_writer,
    read_regular,
    sync_file,
    sync_folder,
)

MANIFEST = "manifest.json"

OpenedT = TypeVar("OpenedT")

# Folders that this process has checked, with what the system said of their files then.
_checked: dict[Path, tuple[tuple[int, ...], ...]] = {}


class FileSeal(msgspec.Struct, frozen=True):
    """What a file of the cache was when it was written."""

    bytes: int
    sha256: str


def open_cached(
    folder: Path,
    build: Callable[[Path], None],
    open_folder: Callable[[Path], OpenedT],
    anew: bool = False,
) -> OpenedT:
    """Return what `open_folder` makes of `folder`, built if that is needed; see `build_once`.

    A whole one that does not open was written by another version of descend: it is built again,
    with a warning.
    """
    build_once(folder, build, anew)
    try:
        return open_folder(folder)
    except (DescendError, OSError, ValueError, msgspec.DecodeError) as problem:
        reason = str(problem).splitlines()[0]
        logging.getLogger("descend").warning("%s is of another format and is made again (%s)",
                                             folder, reason)  # fmt: skip
    return open_folder(build_once(folder, build, anew=True))


def build_once(folder: Path, build: Callable[[Path], None], anew: bool = False) -> Path:
    """Return `folder`, built aside and moved into place, so that a half-built one is never met.

    One that is damaged is built again, with a warning; with `anew` a whole one is too.
    `DiskWriteError` if the cache cannot be written.
    """
    writer = name_writer()
    aside = folder.with_name(f"{folder.name}.{writer}.partial")
    old = folder.with_name(f"{folder.name}.{writer}.old")
    with translate_disk_errors(folder):
        if not anew and is_whole(folder):
            return folder
        if folder.is_dir() and not anew:
            logging.getLogger("descend").warning("%s was damaged and is made again", folder)
        _make_private(cache_dir())
        folder.parent.mkdir(parents=True, exist_ok=True)
        _sweep(folder.parent)
        try:
            aside.mkdir()
            build(aside)
            _seal(aside)
            if folder.is_dir() and (anew or not is_whole(folder)):
                folder.rename(old)
            try:
                aside.rename(folder)
            except OSError:
                if not is_whole(folder):  # else another process built the same meanwhile
                    raise
            sync_folder(folder.parent)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)
    return folder


def is_whole(folder: Path) -> bool:
    """Return whether every file of a built `folder` has the length and the SHA-256 it was written
    with.

    Read once a process, as long as no file changes. Cost: about a second for each gigabyte.
    """
    try:
        seals = decode_json(read_regular(folder / MANIFEST), dict[str, FileSeal])
        stamps = tuple(_stamp(folder / name) for name in (MANIFEST, *sorted(seals)))
    except (OSError, msgspec.DecodeError):
        return False
    if any(Path(name).name != name for name in seals) or not seals:
        return False
    if _checked.get(folder) == stamps:
        return True
    for name, seal in seals.items():
        path = folder / name
        if path.stat().st_size != seal.bytes or hash_file(path) != seal.sha256:
            return False
    _checked[folder] = stamps
    return True


def _stamp(path: Path) -> tuple[int, ...]:
    status = path.lstat()
    return (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _seal(folder: Path) -> None:
    """Write the manifest of all files in `folder`, and sync them and it."""
    seals = {}
    for path in sorted(folder.iterdir()):
        sync_file(path)
        digest = hash_file(path)
        if digest is None:
            raise OSError(None, f"{path} cannot be read back")
        seals[path.name] = FileSeal(path.stat().st_size, digest)
    (folder / MANIFEST).write_bytes(msgspec.json.encode(seals))
    sync_file(folder / MANIFEST)
    sync_folder(folder)


def _make_private(folder: Path) -> None:
    """Make `folder`, for its owner alone, if it is new."""
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)


def _sweep(folder: Path) -> None:
    """Take away what killed processes left half built in `folder`."""
    for path in folder.iterdir():
        match = ASIDE.fullmatch(path.name)
        if match is not None and is_stale(path, int(match[2])):
            shutil.rmtree(path, ignore_errors=True)
