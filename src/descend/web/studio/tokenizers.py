"""Tokenizers that several runs share: files in tokenizers/."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from descend.web.studio.workspace import Workspace, is_name, no_such_item

SUFFIX = ".json"


def list_tokenizers(workspace: Workspace) -> list[dict[str, Any]]:
    """Return each tokenizer with its size: regular files with a plain name, no links."""
    folder = workspace.tokenizers
    if not folder.is_dir() or folder.is_symlink():
        return []
    return [
        {"name": path.stem, "bytes": path.stat().st_size}
        for path in sorted(folder.iterdir())
        if path.suffix == SUFFIX and is_name(path.stem) and not path.is_symlink() and path.is_file()
    ]


def find_tokenizer(workspace: Workspace, name: str) -> Path:
    """Return the file of the tokenizer `name`, which exists and is no link."""
    path = workspace.tokenizer_path(name)
    if not path.is_file():
        raise no_such_item("tokenizer", name)
    return path
