"""Runs by name: all of a folder, the latest, and one by the beginning of its name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import msgspec

from descend.artifacts import RUN_FILE
from descend.errors import RunFolderError
from descend.runs.epochs_read import count_epochs_read
from descend.runs.planned_models import find_models
from descend.runs.run_files import (
    has_summary,
    is_finished,
    is_run_folder,
    read_info,
)
from descend.runs.run_folder import read_summary
from descend.runs.suggestions import has_diverged, lacks_model

MODELS = Path("models")
"""Where runs go unless `save_dir` says otherwise."""
LATEST = "latest"
OWN_PREFIX = "transformer_"
"""Begins the names that descend gives to runs."""

State = Literal["finished", "unfinished", "diverged", "model lost", "unreadable"]


class ListedRun(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `descend list`."""

    run: str
    state: State
    saved_at: str = ""
    corpus: str = ""
    epochs: float = 0.0
    """How often its text was read; below one for a part of the text."""
    parameters: int | None = None
    validation_loss: float | None = None
    """Of the best epoch (nats per token); None before the end of the first."""
    bits_per_byte: float | None = None


def list_runs(base: Path = MODELS) -> list[ListedRun]:
    """Return the runs in `base`, the oldest first; `RunFolderError` if there is no such folder."""
    if not base.is_dir():
        raise RunFolderError(
            str(base), "no such folder", "a folder with runs in it",
            "train one with `descend train`, or name another folder",
        )  # fmt: skip
    return [describe_run(folder) for folder in _runs_in(base)]


def _runs_in(base: Path) -> list[Path]:
    folders = [path.parent for path in base.glob(f"*/{RUN_FILE}")]
    return sorted(folders, key=lambda folder: (_written(folder), folder.name))


def _written(folder: Path) -> float:
    """Return when run.json was written; 0 where it was deleted a moment ago."""
    try:
        return (folder / RUN_FILE).stat().st_mtime
    except OSError:
        return 0.0


def describe_run(folder: Path) -> ListedRun:
    """Return the state, the text and the result of the run in `folder`."""
    try:
        info = read_info(folder)
        summary = read_summary(folder) if has_summary(folder) else None
        state: State = "unfinished"
        if has_diverged(folder):
            state = "diverged"
        elif is_finished(folder):
            state = "model lost" if lacks_model(folder) else "finished"
    except RunFolderError:
        return ListedRun(run=str(folder), state="unreadable")
    return ListedRun(
        run=str(folder),
        state=state,
        saved_at=info.saved_at,
        corpus=Path(str(info.corpus["corpus"])).name,
        epochs=count_epochs_read(summary) if summary else 0.0,
        parameters=summary.parameters if summary else None,
        validation_loss=summary.validation_loss if summary else None,
        bits_per_byte=summary.bits_per_byte if summary else None,
    )


def find_run(name: Path) -> Path:
    """Return the folder that `name` means: itself where it exists, the newest run for `latest`,
    else the one run whose name begins so. As it is where no run does; `RunFolderError` for several.

    A run that learns from others and has not begun means the latest of those.
    """
    if os.path.exists(name):  # raises nothing for a name that no disk can hold
        return name
    if str(name) == LATEST:
        runs = _runs_in(MODELS) if MODELS.is_dir() else []
        if not runs:
            raise RunFolderError(
                LATEST, "no run in models/", "at least one", "train one with `descend train`"
            )
        return runs[-1]
    matches = _beginning_with(name)
    exact = [match for match in matches if match.name == name.name]
    if len(exact) == 1:  # `java` is a run, though `java2` begins so too
        return exact[0]
    if len(matches) > 1 and (models := find_models(name)):
        return models.teachers[-1]
    if len(matches) > 1:
        raise RunFolderError(
            str(name), f"the beginning of {len(matches)} names", "the name of one run",
            "type more of the name: " + ", ".join(str(m) for m in matches[:3]),
        )  # fmt: skip
    return matches[0] if matches else name


def _beginning_with(name: Path) -> list[Path]:
    places = [(name.parent, name.name)]
    if name.parent == Path():
        places += [(MODELS, name.name), (MODELS, OWN_PREFIX + name.name)]
    folders = {
        path
        for base, start in places
        if start and base.is_dir()
        for path in base.iterdir()
        if path.name.startswith(start) and is_run_folder(path)
    }
    return sorted(folders)
