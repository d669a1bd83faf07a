"""Deleted runs and experiments, until they are taken back or removed for good.

A deleted run is moved to .studio/trash/<time>-<number>/<name>: one rename, and so is the undo. An
experiment is moved to <time>-<number>/experiment/<name>, and its job to <time>-<number>/jobs.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from contextlib import suppress
from itertools import count
from pathlib import Path

import msgspec

from descend.artifacts import RUN_FILE
from descend.runs.atomic_write import PRIVATE, make_folder
from descend.web.studio.http_errors import NoSuchItemError, NotNowError
from descend.web.studio.jobs import Jobs
from descend.web.studio.workspace import Workspace, check_name, is_name, no_such_item

_ID = re.compile(r"\d{1,13}-\d{1,4}")


EXPERIMENT, JOBS = "experiment", "jobs"
"""Folders in the place of a deleted experiment."""


class DeletedItem(msgspec.Struct, frozen=True):
    """A run or an experiment in the trash: one of the two has its name, the other is None."""

    id: str
    deleted_at: float
    """Seconds since 1970."""
    run: str | None = None
    experiment: str | None = None


def list_deleted(workspace: Workspace) -> list[DeletedItem]:
    """Return what is in the trash, the newest first."""
    deleted = []
    for place in workspace.trash.iterdir():
        if not _ID.fullmatch(place.name) or not place.is_dir() or place.is_symlink():
            continue
        deleted_at = float(place.name.split("-")[0])
        if (experiment := _find_experiment(place)) is not None:
            deleted.append(DeletedItem(place.name, deleted_at, experiment=experiment.name))
        else:
            deleted += [
                DeletedItem(place.name, deleted_at, run=folder.name)
                for folder in place.iterdir() if (folder / RUN_FILE).is_file()
            ]  # fmt: skip
    return sorted(deleted, key=lambda item: item.deleted_at, reverse=True)


def delete_run(workspace: Workspace, name: str) -> DeletedItem:
    """Move the run `name` to the trash."""
    folder = workspace.run_folder(name)
    place, now = _new_place(workspace)
    try:
        os.rename(folder, place / name)
    except OSError as problem:
        with suppress(OSError):
            place.rmdir()
        if isinstance(problem, FileNotFoundError):  # another request deleted it since
            raise no_such_item("run", name) from None
        raise
    return DeletedItem(place.name, now, run=name)


def delete_experiment(workspace: Workspace, jobs: Jobs, name: str, job: str) -> DeletedItem:
    """Move the experiment `name` and its job to the trash; it does not run."""
    folder = workspace.experiment_path(name)
    place, now = _new_place(workspace)
    for part in (EXPERIMENT, JOBS):
        make_folder(place / part, PRIVATE)
    if folder.is_dir():
        os.rename(folder, place / EXPERIMENT / name)
    else:  # it ended before it had a result
        make_folder(place / EXPERIMENT / name, PRIVATE)
    jobs.archive(job, place / JOBS)
    return DeletedItem(place.name, now, experiment=name)


def _new_place(workspace: Workspace) -> tuple[Path, float]:
    now = max(0, int(time.time()))  # a clock that was never set begins in 1970
    for number in count():
        place = workspace.trash / f"{now}-{number}"
        # A studio serves requests side by side: only one of them can make a folder.
        with suppress(FileExistsError):
            make_folder(place, PRIVATE, must_be_new=True)
            break
    return place, float(now)


def find_deleted_experiment(workspace: Workspace, trash_id: str) -> str | None:
    """Return the name of the experiment in a place of the trash; None where a run is there."""
    folder = _find_experiment(_place(workspace, trash_id))
    return None if folder is None else folder.name


def restore_experiment(workspace: Workspace, jobs: Jobs, trash_id: str, job: str) -> None:
    """Move an experiment and its job back to where they were."""
    place = _place(workspace, trash_id)
    folder = _find_experiment(place)
    assert folder is not None
    target = workspace.experiment_path(folder.name)
    if target.exists() or jobs.get(job) is not None:
        raise NotNowError(
            folder.name, "another experiment of this name", "none of the name", "delete that one"
        )
    if any(folder.iterdir()):
        make_folder(target.parent, PRIVATE)
        os.rename(folder, target)
    else:
        folder.rmdir()
    jobs.unarchive(job, place / JOBS)
    shutil.rmtree(place)


def _find_experiment(place: Path) -> Path | None:
    """Return the folder of the deleted experiment in `place`; None where there is none."""
    parent = place / EXPERIMENT
    if not parent.is_dir() or parent.is_symlink() or (parent / RUN_FILE).is_file():
        return None
    folders = [p for p in parent.iterdir() if is_name(p.name) and not p.is_symlink()]
    return folders[0] if len(folders) == 1 else None


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
    if not known or (len(list(place.iterdir())) != 1 and _find_experiment(place) is None):
        raise NoSuchItemError(
            "trash", f"{trash_id[:40]!r}", "what was deleted", "look at the trash"
        )
    return place
