"""Deleted runs, until they are taken back or removed for good.

A deleted run is moved to .studio/trash/<time>-<number>/<name>: one rename, and so is the undo.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import msgspec

from descend.artifacts import RUN_FILE
from descend.runs.atomic_write import PRIVATE, make_folder
from descend.web.studio.http_errors import NoSuchItemError, NotNowError
from descend.web.studio.workspace import Workspace, check_name

_ID = re.compile(r"\d{1,13}-\d{1,4}")


class DeletedRun(msgspec.Struct, frozen=True):
    """A run in the trash."""

    id: str
    run: str
    deleted_at: float
    """Seconds since 1970."""


def list_deleted(workspace: Workspace) -> list[DeletedRun]:
    """Return what is in the trash, the newest first."""
    deleted = [
        DeletedRun(place.name, folder.name, float(place.name.split("-")[0]))
        for place in workspace.trash.iterdir()
        if _ID.fullmatch(place.name) and place.is_dir() and not place.is_symlink()
        for folder in place.iterdir()
        if (folder / RUN_FILE).is_file()
    ]
    return sorted(deleted, key=lambda run: run.deleted_at, reverse=True)


def delete_run(workspace: Workspace, name: str) -> DeletedRun:
    """Move the run `name` to the trash."""
    folder = workspace.run_folder(name)
    now, number = max(0, int(time.time())), 0  # a clock that was never set begins in 1970
    while (place := workspace.trash / f"{now}-{number}").exists():
        number += 1
    make_folder(place, PRIVATE)
    os.rename(folder, place / name)
    return DeletedRun(place.name, name, float(now))


def restore_run(workspace: Workspace, trash_id: str) -> str:
    """Move a run back to where it was; its name."""
    place = _place(workspace, trash_id)
    (folder,) = place.iterdir()
    target = workspace.run_path(check_name(folder.name, "run"))
    if target.exists():
        raise NotNowError(
            folder.name, "another run of this name", "no run of the name", "rename that one first"
        )
    target.parent.mkdir(exist_ok=True)
    os.rename(folder, target)
    place.rmdir()
    return folder.name


def _place(workspace: Workspace, trash_id: str) -> Path:
    place = workspace.trash / trash_id
    known = _ID.fullmatch(trash_id) and place.is_dir() and not place.is_symlink()
    if not known or len(list(place.iterdir())) != 1:
        raise NoSuchItemError(
            "trash", f"{trash_id[:40]!r}", "a run that was deleted", "look at the trash"
        )
    return place
