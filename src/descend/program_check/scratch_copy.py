"""A scratch copy of the folder that a program works in, so that a check changes no file of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from descend.program_check.bug_report import ProgramError

MAX_BYTES = 2**30
"""Size of a folder up to which it is copied: seconds on any disk."""

MAX_FILES = 50_000

SKIPPED_FOLDERS = {".git", ".hg", "__pycache__", "node_modules", ".mypy_cache", ".ruff_cache",
                   ".pytest_cache", ".tox", ".ipynb_checkpoints"}  # fmt: skip
"""Folders that a program does not read while it trains."""


class FolderTooLargeError(Exception):
    """The folder has more bytes or files than are copied."""


def copy_to_scratch(spec: str, scratch: Path) -> Path:
    """Copy what the program `spec` works in below `scratch`; returns the folder to run it in.

    Copied is the current folder where the program lies in it, so that `data/text.txt` is found
    as ever, else the program's own folder. `ProgramError` where both are too large.
    """
    here = Path.cwd().resolve()
    path = Path(spec)
    own = path.resolve().parent if path.is_file() else here
    for folder in dict.fromkeys([here if own.is_relative_to(here) else own, own]):
        target = scratch / (folder.name or "root")
        try:
            _copy_folder(folder, target)
        except FolderTooLargeError:
            shutil.rmtree(target, ignore_errors=True)
            continue
        return target
    raise ProgramError(
        spec, f"a folder of more than {MAX_BYTES >> 30} GB or {MAX_FILES:,} files around it",
        "one that can be copied", "check it where it is with --in-place",
    )  # fmt: skip


def path_in_scratch(spec: str, folder: Path) -> str:
    """Return `spec` as seen from `folder`, which `copy_to_scratch` returned."""
    path = Path(spec)
    if not path.is_file():
        return spec
    here = Path.cwd().resolve()
    own = path.resolve()
    if own.is_relative_to(here) and (folder / own.relative_to(here)).is_file():
        return str(own.relative_to(here))
    return own.name


def _copy_folder(source: Path, target: Path) -> None:
    """Copy `source`; `FolderTooLargeError` before the first byte if it is too large."""
    entries = list(_entries(source))
    target.mkdir(parents=True)
    for path, is_folder in entries:
        copy = target / path.relative_to(source)
        if path.is_symlink():
            _copy_link(path, copy, source)
        elif is_folder:
            copy.mkdir(exist_ok=True)
        else:
            shutil.copyfile(path, copy)
            shutil.copystat(path, copy)


def _copy_link(path: Path, copy: Path, source: Path) -> None:
    """Make the same link, which leads to the copy if the original led to what was copied."""
    target = os.readlink(path)
    resolved = path.resolve()
    if os.path.isabs(target) or not resolved.is_relative_to(source):
        target = str(resolved)
    copy.symlink_to(target)


def _entries(source: Path) -> Iterator[tuple[Path, bool]]:
    """Yield folders, files and links below `source`, a folder before what it holds."""
    size = number = 0
    for parent, folders, files in os.walk(source):
        folders[:] = [f for f in folders if f not in SKIPPED_FOLDERS
                      and not Path(parent, f, "pyvenv.cfg").exists()]  # fmt: skip
        yield from ((Path(parent, f), True) for f in folders)
        for name in files:
            path = Path(parent, name)
            if not path.is_symlink() and not path.is_file():
                continue  # a pipe or a socket
            if not os.access(path, os.R_OK):
                continue
            number += 1
            size += 0 if path.is_symlink() else path.stat().st_size
            if size > MAX_BYTES or number > MAX_FILES:
                raise FolderTooLargeError
            yield path, False
