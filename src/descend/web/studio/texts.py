"""Texts to train on: the built-in ones, and files that were dropped into the page."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator
from typing import Any

from descend.data.builtin_corpora import BUILTIN_CORPORA
from descend.errors import CorpusError
from descend.runs.atomic_write import PRIVATE, make_folder
from descend.web.studio.http_errors import NotNowError
from descend.web.studio.workspace import Workspace, check_name

MAX_TEXT_BYTES = 2**29
"""Bytes of a file that is dropped into the page: 512 MiB. A larger one is named in a terminal."""

MAX_TEXTS = 200

DESCRIPTIONS = {
    "stories": "Short made-up stories. A small model learns them in two minutes.",
    "python": "The documentation inside Python itself. Harder: give it ten minutes.",
}


def list_texts(workspace: Workspace) -> list[dict[str, Any]]:
    """Every text with its size; built-in ones first."""
    texts: list[dict[str, Any]] = [
        {"name": name, "builtin": True, "bytes": None, "description": DESCRIPTIONS[name]}
        for name in reversed(BUILTIN_CORPORA)
    ]
    if workspace.texts.is_dir() and not workspace.texts.is_symlink():
        texts += [
            {"name": file.name, "builtin": False, "bytes": file.stat().st_size, "description": ""}
            for file in sorted(workspace.texts.iterdir())
            if file.is_file() and not file.is_symlink() and not file.name.startswith(".")
        ]
    return texts


async def save_text(workspace: Workspace, name: str, chunks: AsyncIterator[bytes]) -> int:
    """Write the file `name` from `chunks`, aside first; its bytes.

    A file of that name is replaced. `CorpusError` for an empty one.
    """
    check_name(name, "text")
    if name in BUILTIN_CORPORA:
        raise NotNowError(name, "the name of a built-in text", "another one", "rename the file")
    make_folder(workspace.texts, PRIVATE)
    if workspace.texts.is_symlink() or len(list_texts(workspace)) > MAX_TEXTS:
        raise NotNowError(
            "texts", f"more than {MAX_TEXTS} files, or a link", "a folder with fewer",
            "remove some",
        )  # fmt: skip
    aside = workspace.texts / f".{secrets.token_hex(8)}.partial"
    size = 0
    try:
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            async for chunk in chunks:
                size += len(chunk)
                file.write(chunk)
        if not size:
            raise CorpusError(name, "an empty file", "a file with text", "choose another file")
        aside.replace(workspace.texts / name)
    finally:
        aside.unlink(missing_ok=True)
    return size
