"""Writing so that a crash, a kill or lost power leaves the old or the new, never half.

Write aside, sync the file, write the manifest, sync, rename, sync the parent folder: after the
rename has reached the disk the new state is whole; before it, the old one still stands.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from descend.errors import DescendError, DiskWriteError, path_error
from descend.guard import ASIDE, decode_json, hash_file, is_stale, name_writer, read_regular
from descend.guard import sync_folder as sync_folder

MANIFEST_FILE = "manifest.json"

PRIVATE = 0o700
"""Mode of the folders that descend makes: other users of the machine see nothing in them."""


def write_file_atomic(path: Path, content: bytes) -> None:
    """Replace `path` by `content` in one step; `DiskWriteError` if the disk refuses."""
    with _disk_errors(path):
        make_folder(path.parent)
        aside = path.with_name(f".{path.name}.{name_writer()}.partial")
        try:
            _write_synced(aside, content)
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
        sync_folder(path.parent)


def write_folder_atomic(folder: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Make `folder` of `files`, names and contents, with a manifest of their SHA-256, in one step.

    Each is written before the next one is read, so that a generator needs the memory of one. A
    folder of that name is replaced only after the new one was read back and verified.
    """
    with _disk_errors(folder):
        make_folder(folder.parent)
        writer = name_writer()
        aside = folder.with_name(f".{folder.name}.{writer}.partial")
        old = folder.with_name(f".{folder.name}.{writer}.old")
        try:
            aside.mkdir()
            hashes: dict[str, str] = {}
            for name, content in files:
                _write_synced(aside / name, content)
                hashes[name] = hashlib.sha256(content).hexdigest()
                del content  # before the next one is made
            _write_synced(aside / MANIFEST_FILE, msgspec.json.encode(hashes))
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


def make_folder(folder: Path, mode: int = 0o777, *, must_be_new: bool = False) -> None:
    """Make `folder` and those above it, each synced into its parent; `OSError` if that fails.

    `mode` counts for `folder` alone, and only if it is new. A link in its place is refused
    unless it leads to a folder. With `must_be_new` only one caller of several at once makes it;
    the others get `FileExistsError`.
    """
    missing = []
    place = folder
    while not place.exists():
        missing.append(place)
        place = place.parent
    if must_be_new and not missing:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(folder))
    for new in reversed(missing):
        is_last = new == folder
        new.mkdir(mode=mode if is_last else 0o777, exist_ok=not (must_be_new and is_last))
        sync_folder(new.parent)
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))


def check_real_folder(folder: Path) -> None:
    """Raise `OSError` if a link stands in the place of `folder`: it may lead anywhere."""
    if folder.is_symlink():
        raise OSError(errno.ELOOP, "a link, where only a folder is written to", str(folder))


def remove_folder(folder: Path) -> None:
    """Remove `folder` as far as possible; of a link only the link."""
    if folder.is_symlink():
        folder.unlink(missing_ok=True)
    else:
        shutil.rmtree(folder, ignore_errors=True)


def check_can_write(folder: Path) -> None:
    """Raise `OSError` if `folder` cannot be made or written in: makes one of its name beside
    where it would stand, and removes it again."""
    if folder.is_symlink() and not folder.exists():
        raise OSError(errno.ELOOP, "a link that leads nowhere", str(folder))
    whole = Path(os.path.realpath(folder))  # unlike Path.resolve, no error for a loop of links
    there = next(p for p in (whole, *whole.parents) if p.exists())
    with tempfile.TemporaryDirectory(prefix=".descend-", dir=there) as aside:
        (Path(aside) / whole.relative_to(there)).mkdir(parents=True, exist_ok=True)


def recover_partial_writes(folder: Path, names: Container[str] | None = None) -> None:
    """Put right what killed writers of `folder` left aside.

    Of `names`, or of all, what was half written goes, and what had been moved away comes back if
    nothing stands in its place. Of other names goes what a process that is dead left long ago.
    Only for who alone may write `names` there. `DiskWriteError` if the disk refuses.
    """
    with _disk_errors(folder):
        for aside in list(folder.glob(".*")):
            match = ASIDE.fullmatch(aside.name[1:])
            if match is None:
                continue
            own = names is None or match[1] in names
            if not own and not is_stale(aside, int(match[2])):
                continue
            target = folder / match[1]
            if own and match[3] == "old" and not target.exists() and verify_folder(aside):
                aside.rename(target)
            elif aside.is_dir():
                remove_folder(aside)
            else:
                aside.unlink(missing_ok=True)


def verify_folder(folder: Path) -> bool:
    """Return whether every file that the manifest of `folder` names is there with its SHA-256."""
    return not damaged_files(folder)


def damaged_files(folder: Path) -> list[str]:
    """Return the files of `folder` that are missing, or not what its manifest says; sorted.

    Without a whole manifest, the manifest itself. A link in the place of `folder` counts as
    damage, as does a manifest that names no file or one outside.
    """
    try:
        check_real_folder(folder)
        hashes = decode_json(read_regular(folder / MANIFEST_FILE), dict[str, str])
    except (OSError, msgspec.DecodeError):
        return [MANIFEST_FILE]
    if not hashes or any(Path(name).name != name or "\\" in name for name in hashes):
        return [MANIFEST_FILE]
    return sorted(n for n, expected in hashes.items() if hash_file(folder / n) != expected)


def _write_synced(path: Path, content: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags, 0o666), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise disk_error(path, problem) from None


FEW_FILES = 64
"""Free places for files at which a disk with free bytes refused one more: several saves of ours."""


def _describe_full_disk(path: Path, is_quota: bool) -> str:
    """Return what is used up: bytes, the number of files that a disk can hold, or what a user may
    use."""
    existing = next((p for p in [path, *path.parents] if os.path.exists(p)), Path())
    if is_quota:
        return "a used-up quota"
    if hasattr(os, "statvfs"):
        status = os.statvfs(existing)
        # The file that did not fit is gone by now, and so are others of the same save.
        if status.f_files and status.f_favail < FEW_FILES and status.f_bavail:
            return "a disk that can hold no further file"
    return f"a full disk with {shutil.disk_usage(existing).free / 1e6:.0f} MB free"


def os_error_sentence(problem: OSError) -> DescendError:
    """Return the sentence for an `OSError` that no caller has translated: of a disk that is full
    or read-only, or of the path."""
    name = problem.filename
    no_write = problem.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
    if no_write and isinstance(name, (str, bytes)):
        return disk_error(Path(os.fsdecode(name)), problem)
    return path_error(problem)


def disk_error(path: Path, problem: OSError) -> DiskWriteError:
    """Return the sentence for an `OSError` met while writing `path`."""
    full = problem.errno in (errno.ENOSPC, errno.EDQUOT)
    refusal = f"a disk that refuses ({problem.strerror or problem})"
    return DiskWriteError(
        str(path),
        _describe_full_disk(path, problem.errno == errno.EDQUOT) if full else refusal,
        "room and permission to write",
        "free some space or choose another folder; what was saved before is untouched"
        if full
        else "check the permissions or choose another folder",
    )
