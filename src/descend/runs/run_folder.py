"""Folders of runs as a whole: made, checked, and read with a suggestion where a part is missing."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

from descend.errors import RunFolderError
from descend.runs.atomic_write import check_can_write, disk_error, make_folder
from descend.runs.checkpoint_folders import latest_checkpoint
from descend.runs.file_lock import LOCK
from descend.runs.folder_errors import RUN_EXPECTED, not_a_model_error
from descend.runs.run_files import (
    MODEL_FILES,
    RunSummary,
    has_model,
    has_summary,
    is_finished,
    is_run_folder,
    load_summary,
    missing_model_files,
)
from descend.runs.suggestions import has_diverged, suggest_fix
from descend.units import quoted


def create_run_folder(save_dir: str | None) -> Path:
    """Return the folder for a new run; never one that already holds a run."""
    if save_dir is not None:
        folder = Path(save_dir)
        if os.path.exists(folder) and not folder.is_dir():
            raise RunFolderError(
                "save_dir", f"{folder}, which is a file", "a new or empty folder",
                "choose another save_dir",
            )  # fmt: skip
        if os.path.exists(folder) and any(path.name != LOCK for path in folder.iterdir()):
            goes_on = latest_checkpoint(folder) and not is_finished(folder)
            raise RunFolderError(
                "save_dir", f"{folder}, which is not empty", "a new or empty folder",
                f"go on with `descend resume {quoted(folder)}`, or choose another save_dir"
                if goes_on and not has_diverged(folder)
                else "choose another save_dir",
            )  # fmt: skip
    else:
        moment = int(time.time())
        while (folder := Path("models") / f"transformer_{moment}").exists():
            moment += 1
    ensure_writable(folder)
    return folder


def claim_folder(parent: Path, stem: str = "") -> Path:
    """Make `parent/<stem><unix time>` and return it: of several processes that start in the same
    second each gets a folder of its own. `RunFolderError` where no folder can be made."""
    moment = int(time.time())
    ensure_writable(parent / f"{stem}{moment}")
    while True:
        folder = parent / f"{stem}{moment}"
        try:
            make_folder(folder, must_be_new=True)
            return folder
        except FileExistsError:
            moment += 1


def ensure_writable(folder: Path) -> None:
    """Before any work: `RunFolderError` if `folder` cannot be made, `DiskWriteError` if it is
    full."""
    try:
        check_can_write(folder)
    except OSError as problem:
        if problem.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise disk_error(folder, problem) from None
        raise RunFolderError(
            "save_dir", f"{folder}, which cannot be made ({problem.strerror or problem})",
            "a folder that can be written in", "choose another save_dir",
        ) from None  # fmt: skip


def check_model_folder(folder: Path) -> None:
    """`RunFolderError` that names the first part a model folder lacks."""
    if not folder.is_dir():
        known = (
            sorted(p.name for p in folder.parent.glob("transformer_*"))
            if folder.parent.is_dir()
            else []
        )
        hint = (
            f"use one of those there, such as {folder.parent / known[-1]}"
            if known
            else "check the path"
        )
        raise RunFolderError(str(folder), "no such folder", "a model folder", hint)
    for name in missing_model_files(folder):
        if not is_run_folder(folder) and not has_model(folder):
            raise not_a_model_error(folder, name)
        raise RunFolderError(
            str(folder), f"no {name}", f"{MODEL_FILES[name]} in {name}", suggest_fix(folder)
        )


def read_summary(folder: Path) -> RunSummary:
    """Read summary.json; `RunFolderError` if it is missing or damaged."""
    if is_run_folder(folder) and not has_summary(folder):
        raise RunFolderError(
            str(folder), "no summary.json", RUN_EXPECTED,
            f"it has not finished an epoch: {suggest_fix(folder)}",
        )  # fmt: skip
    return load_summary(folder)
