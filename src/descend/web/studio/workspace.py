"""The folder that a studio works in, and the only paths that a name can lead to.

models/          runs, as the command line makes them
texts/           files that were dropped into the page
improvements/    what was tried to make a run better
experiments/     comparisons, searches, and attributions
exports/         models in the formats of other programs
tokenizers/      tokenizers that several runs share
checks/          data and logs that were dropped into the page to be checked
.studio/         what the studio itself keeps: jobs, logs, the queue, the trash
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from descend.artifacts import RUN_FILE
from descend.data.builtin_corpora import BUILTIN_CORPORA
from descend.errors import RunFolderError
from descend.runs.atomic_write import PRIVATE, make_folder
from descend.runs.run_list import MODELS
from descend.web.studio.http_errors import NoSuchItemError

MAX_NAME, MAX_NAME_BYTES = 100, 200
"""Characters of a name, and bytes in UTF-8: disks take 255, and endings are added to it."""

# A letter or digit first: no hidden file, no option. No slash, backslash, colon or control.
_NAME = re.compile(rf"[^\W_][\w .,()+-]{{0,{MAX_NAME - 1}}}")
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_NOT_IN_A_NAME = re.compile(r"[^\w.-]+")


class Workspace:
    """Paths below `root`; `NoSuchItemError` for a name that is none, or that leads elsewhere."""

    def __init__(self, root: Path) -> None:
        if os.path.lexists(root) and not root.is_dir():
            raise RunFolderError(
                str(root), "no folder", "a folder to work in", "name a folder, or leave it out"
            )
        self.root = root.resolve()
        holds_runs = any(self.root.glob(f"*/{RUN_FILE}"))
        self.runs = self.root if holds_runs else self.root / MODELS
        self.texts = self.root / "texts"
        self.improvements = self.root / "improvements"
        self.experiments = self.root / "experiments"
        self.exports = self.root / "exports"
        self.checks = self.root / "checks"
        self.tokenizers = self.root / "tokenizers"
        self.hidden = self.root / ".studio"

    def make(self) -> None:
        """Create the folder of the studio's own files; `RunFolderError` for a link in its place.

        A workspace may be a stranger's: the studio's key and records must stay inside, and private.
        """
        make_folder(self.root, PRIVATE)
        for folder in (self.hidden, self.jobs, self.trash, self.lessons, self.reports):
            if folder.is_symlink():
                raise RunFolderError(
                    str(folder), "a link", "a folder of the studio's own", "remove the link"
                )
        for folder in (self.hidden, self.jobs, self.trash, self.reports):
            make_folder(folder, PRIVATE)
        self._make_private()

    def _make_private(self) -> None:
        """Close the studio's own folder to others, as far as its disk knows modes and lets it."""
        try:
            self.hidden.chmod(PRIVATE)
        except OSError as problem:
            if stat.S_IMODE(self.hidden.stat().st_mode) & 0o077:
                raise RunFolderError(
                    str(self.hidden), f"one that is open to others ({problem.strerror})",
                    "a folder for you alone: it holds the key of the studio",
                    "name a folder of your own, on a disk that knows permissions",
                ) from None  # fmt: skip

    @property
    def jobs(self) -> Path:
        """Where the records and the logs of processes are."""
        return self.hidden / "jobs"

    @property
    def trash(self) -> Path:
        """Where deleted runs wait for an undo."""
        return self.hidden / "trash"

    def run_folder(self, name: str) -> Path:
        """Return the folder of the run `name`, which exists and is no link."""
        folder = self.run_path(name)
        if not (folder / RUN_FILE).is_file():
            raise no_such_item("run", name)
        return folder

    def run_path(self, name: str) -> Path:
        """Return where the run `name` is, or will be; no link stands there."""
        folder = self.runs / check_name(name, "run")
        if folder.is_symlink():
            raise no_such_item("run", name)
        return folder

    def improvement_path(self, name: str) -> Path:
        """Return where the improvement of the run `name` is, or will be; no link stands there."""
        return self._path_in(self.improvements, name, "improvement")

    def experiment_path(self, name: str) -> Path:
        """Return where the experiment `name` is, or will be; no link stands there."""
        return self._path_in(self.experiments, name, "experiment")

    def export_path(self, name: str) -> Path:
        """Return where the export `name` is, or will be; no link stands there."""
        return self._path_in(self.exports, name, "export")

    def tokenizer_path(self, name: str) -> Path:
        """Return where the tokenizer `name` is, or will be; no link stands there."""
        return self._path_in(self.tokenizers, f"{check_name(name, 'tokenizer')}.json", "tokenizer")

    @staticmethod
    def _path_in(parent: Path, name: str, kind: str) -> Path:
        folder = parent / check_name(name, kind)
        if parent.is_symlink() or folder.is_symlink():
            raise no_such_item(kind, name)
        return folder

    @property
    def reports(self) -> Path:
        """Where reports are written before they are downloaded."""
        return self.hidden / "reports"

    @property
    def lessons(self) -> Path:
        """Where experiments of lessons are, and the progress of the course."""
        return self.hidden / "lessons"

    def text_path(self, name: str) -> Path:
        """Return the file or folder of the text `name`, which exists and is no link."""
        place = self.texts / check_name(name, "text")
        is_there = place.is_file() or place.is_dir()
        if self.texts.is_symlink() or place.is_symlink() or not is_there:
            raise no_such_item("text", name)
        return place

    def corpus(self, name: str) -> str:
        """Return what `corpus_dir` has to be for the text `name`: a built-in one, or a path."""
        return name if name in BUILTIN_CORPORA else str(self.text_path(name))

    def new_run_name(self, text: str, taken: set[str]) -> str:
        """Return a name for a run on `text` that none has yet, such as `stories-2`."""
        stem = _NOT_IN_A_NAME.sub("-", Path(text).stem).strip("-.")[:40] or "run"
        number = 1
        taken = taken | self.deleted_names()
        while (name := f"{stem}-{number}") in taken or (self.runs / name).exists():
            number += 1
        return check_name(name, "run")

    def deleted_names(self) -> set[str]:
        """Return the names in the trash: a new run that had one would stand in the way of an
        undo."""
        if not self.trash.is_dir():
            return set()
        paths = [*self.trash.glob("*/*"), *self.trash.glob("*/experiment/*")]
        return {path.name for path in paths}


def is_name(name: str) -> bool:
    """Return whether a run or a text may have this name."""
    plain = _NAME.fullmatch(name) and not _DEVICES.fullmatch(name) and name[-1] not in " ."
    return bool(plain) and ".." not in name and len(name.encode()) <= MAX_NAME_BYTES


def check_name(name: str, kind: str) -> str:
    """Return `name`, if it is one that a run or a text may have; else `NoSuchItemError`."""
    if not is_name(name):
        raise no_such_item(kind, name)
    return name


def no_such_item(kind: str, name: str) -> NoSuchItemError:
    """Return the error for a `name` that leads to nothing of this kind."""
    return NoSuchItemError(
        kind, f"{name[:MAX_NAME]!r}", f"the name of a {kind} in this folder", "look at the list"
    )
