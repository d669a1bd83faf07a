"""Files of a workspace that can be checked: training programs, fine-tuning data, loss logs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

from descend.artifacts import RUN_FILE
from descend.errors import ConfigError
from descend.runs.atomic_write import PRIVATE, make_folder
from descend.web.studio.http_errors import NotNowError
from descend.web.studio.texts import write_chunks
from descend.web.studio.workspace import Workspace, check_name, is_name, no_such_item

CheckKind = Literal["program", "data", "log"]
SUFFIXES: dict[CheckKind, tuple[str, ...]] = {
    "program": (".py",),
    "data": (".jsonl", ".ndjson", ".json"),
    "log": (".log", ".csv", ".tsv", ".txt", ".jsonl", ".json"),
}
OWN_FOLDERS = ("models", "texts", "improvements", "experiments", "exports", "checks",
               "tokenizers")  # fmt: skip
CHECKED_FOLDERS: dict[CheckKind, tuple[str, ...]] = {
    "program": (),
    "data": ("checks", "texts"),
    "log": ("checks",),
}
"""Folders of the studio in which each kind is looked for, beside the workspace itself and other
folders in it. What was dropped into the page is no program: only who can write into the folder
decides what runs on this machine."""

MAX_FOLDERS = 50
MAX_FILES = 300


def list_files(workspace: Workspace) -> dict[str, list[dict[str, Any]]]:
    """Return the files of each kind: regular ones with a plain name, no links."""
    return {
        kind: [
            {"folder": folder, "file": path.name, "bytes": path.stat().st_size}
            for folder in list_folders(workspace, kind)
            for path in _plain_files(workspace.root / folder)
            if path.suffix.lower() in suffixes
        ][:MAX_FILES]
        for kind, suffixes in SUFFIXES.items()
    }  # fmt: skip


def list_folders(workspace: Workspace, kind: CheckKind) -> list[str]:
    """Return the folders below the workspace in which a kind is looked for; "" is itself."""
    others = [
        path.name
        for path in sorted(workspace.root.iterdir())
        if path.is_dir() and not path.is_symlink() and is_name(path.name)
        and path.name not in OWN_FOLDERS and not (path / RUN_FILE).exists()
    ]  # fmt: skip
    return ["", *CHECKED_FOLDERS[kind], *others[:MAX_FOLDERS]]


def _plain_files(folder: Path) -> list[Path]:
    if not folder.is_dir() or folder.is_symlink():
        return []
    return [p for p in sorted(folder.iterdir()) if _is_plain(p)]


def _is_plain(path: Path) -> bool:
    return is_name(path.name) and not path.is_symlink() and path.is_file()


def check_path(workspace: Workspace, kind: CheckKind, folder: str, name: str) -> Path:
    """Return the file `name` below `folder`, which is one of this kind; else `NoSuchItemError`."""
    parent = workspace.root / folder
    path = parent / check_name(name, "file")
    is_possible = folder in list_folders(workspace, kind) and path.suffix.lower() in SUFFIXES[kind]
    if not is_possible or parent.is_symlink() or not _is_plain(path):
        raise no_such_item("file", name)
    return path


async def save_checked_file(
    workspace: Workspace, name: str, chunks: AsyncIterator[bytes]
) -> int:  # fmt: skip
    """Write data or a log into checks/; its bytes. `ConfigError` for the name of a program."""
    path = workspace.checks / check_name(name, "file")
    known = {*SUFFIXES["data"], *SUFFIXES["log"]}
    if path.suffix.lower() not in known:
        raise ConfigError(
            "file", name, "data or a log (" + ", ".join(sorted(known)) + ")",
            "put a program into the folder of the studio yourself",
        )  # fmt: skip
    if workspace.checks.is_symlink() or len(_plain_files(workspace.checks)) >= MAX_FILES:
        raise NotNowError(
            "checks", f"{MAX_FILES} files, or a link", "a folder with fewer", "remove some"
        )
    make_folder(workspace.checks, PRIVATE)
    return await write_chunks(path, chunks)
