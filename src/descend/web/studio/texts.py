"""Texts to train on: the built-in ones, and files that were dropped into the page."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from descend.data.builtin_corpora import BUILTIN_CORPORA
from descend.errors import CorpusError
from descend.runs.atomic_write import PRIVATE, disk_error, make_folder
from descend.web.studio.http_errors import NotNowError
from descend.web.studio.workspace import Workspace, check_name

MAX_TEXT_BYTES = 2**29
"""Bytes of a file that is dropped into the page: 512 MiB. A larger one is named in a terminal."""

MAX_TEXTS = 200
"""Texts of a workspace, each a file or a folder of files."""

MAX_FILES = 2000
"""Files of a folder that is dropped into the page."""

DESCRIPTIONS = {
    "stories": "Short made-up stories. A small model learns them in two minutes.",
    "python": "The documentation inside Python itself. Harder: give it ten minutes.",
}


def list_texts(workspace: Workspace) -> list[dict[str, Any]]:
    """Return every text with its size; built-in ones first."""
    texts: list[dict[str, Any]] = [
        {"name": name, "builtin": True, "bytes": None, "description": DESCRIPTIONS[name]}
        for name in reversed(BUILTIN_CORPORA)
    ]
    if workspace.texts.is_dir() and not workspace.texts.is_symlink():
        for place in _plain_entries(workspace.texts):
            files = _plain_files(place) if place.is_dir() else [place]
            texts.append({
                "name": place.name, "builtin": False,
                "bytes": sum(file.stat().st_size for file in files),
                "files": len(files) if place.is_dir() else None, "description": "",
            })  # fmt: skip
    return texts


def _plain_entries(folder: Path) -> list[Path]:
    """Return what stands in `folder`, but links and hidden files; sorted."""
    entries = sorted(folder.iterdir())
    return [p for p in entries if not p.is_symlink() and not p.name.startswith(".")]


def _plain_files(folder: Path) -> list[Path]:
    return [entry for entry in _plain_entries(folder) if entry.is_file()]


async def save_text(workspace: Workspace, name: str, chunks: AsyncIterator[bytes]) -> int:
    """Write the file `name` from `chunks`, aside first; its bytes.

    A file of that name is replaced. `CorpusError` for an empty one.
    """
    check_new_text(workspace, name)
    if (workspace.texts / name).is_dir():
        raise NotNowError(name, "a folder of that name", "a free name", "rename the file")
    return await write_chunks(workspace.texts / name, chunks)


async def save_text_file(
    workspace: Workspace, folder: str, name: str, chunks: AsyncIterator[bytes]
) -> int:
    """Write the file `name` of the text `folder`, which is made if it is new; its bytes.

    The files of a folder together are bounded too. `CorpusError` for an empty one.
    """
    check_name(name, "text")
    place = workspace.texts / check_name(folder, "text")
    if workspace.texts.is_symlink() or not place.is_dir():
        check_new_text(workspace, folder)
    if place.is_symlink() or (place.exists() and not place.is_dir()):
        raise NotNowError(folder, "a file of that name", "a free name", "rename the folder")
    make_folder(place, PRIVATE)
    files = _plain_files(place)
    size = sum(file.stat().st_size for file in files)
    if len(files) >= MAX_FILES or size > MAX_TEXT_BYTES:
        raise NotNowError(
            folder, f"{len(files):,} files of {size:,} bytes",
            f"at most {MAX_FILES:,} files of {MAX_TEXT_BYTES:,} bytes",
            "train it with descend train in a terminal",
        )  # fmt: skip
    return await write_chunks(place / name, chunks)


def check_new_text(workspace: Workspace, name: str) -> None:
    """Make the folder of texts; `NotNowError` where no text of this name can be in it."""
    check_name(name, "text")
    if name in BUILTIN_CORPORA:
        raise NotNowError(name, "the name of a built-in text", "another one", "rename the file")
    make_folder(workspace.texts, PRIVATE)
    if workspace.texts.is_symlink() or len(list_texts(workspace)) > MAX_TEXTS:
        raise NotNowError(
            "texts", f"more than {MAX_TEXTS} files, or a link", "a folder with fewer",
            "remove some",
        )  # fmt: skip


async def write_chunks(file_path: Path, chunks: AsyncIterator[bytes]) -> int:
    """Write a file from `chunks`, aside first; its bytes. `CorpusError` for an empty one."""
    name = file_path.name
    aside = file_path.with_name(f".{secrets.token_hex(8)}.partial")
    size = 0
    try:
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            async for chunk in chunks:
                size += len(chunk)
                file.write(chunk)
        if not size:
            raise CorpusError(name, "an empty file", "a file with text", "choose another file")
        aside.replace(file_path)
    except OSError as problem:
        raise disk_error(file_path, problem) from None
    finally:
        aside.unlink(missing_ok=True)
    return size
