"""The text files below a folder, and a word on what is left out."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from descend.artifacts import RUN_FILE, is_artifact_folder
from descend.data.dataset_splits import is_in_split, no_such_split, splits_of
from descend.data.readers import (
    ARCHIVES,
    SUFFIXES,
    foreign_kind,
    has_known_suffix,
    has_suffix,
    slack_export,
)
from descend.data.readers.decompression import read_error
from descend.data.unread_files import MAX_LISTED_KINDS, describe_unread
from descend.errors import CorpusError
from descend.units import format_count

_MAX_LISTED_FOLDERS = 3
# What `save_to_disk` of the library datasets writes beside the data.
_DATA_SET_FILES = (
    frozenset(("dataset_info.json", "state.json")),
    frozenset(("dataset_dict.json",)),
)


@dataclass(frozen=True, slots=True)
class FileListing:
    """The `files` that are taken, sorted, and `notes`: sentences on what is left out.

    `user_files` name the people of an export of Slack, and are no text.
    """

    files: dict[Path, os.stat_result]
    warnings: tuple[str, ...]
    user_files: dict[Path, os.stat_result]


def is_text_file(path: Path) -> bool:
    """Return whether a file in a folder is taken: a known suffix, or none and text at its start."""
    return has_known_suffix(path) or (not has_suffix(path) and _begins_with_text(path))


def find_text_files(
    root: Path, accept: Callable[[Path], bool], split: str | None = None
) -> FileListing:
    """Return the files below `root` that `accept` takes, without hidden and empty ones.

    Of a data set in splits those of `split`, if that is given; of one that `datasets` saved not its
    metadata. Links are followed, but no folder is entered twice, and none that descend wrote. A
    file may vanish meanwhile. Raises `CorpusError` if none remains or `root` cannot be read.
    """
    if is_artifact_folder(root):
        raise _own_output(root)
    files: dict[Path, os.stat_result] = {}
    other: Counter[str] = Counter()
    other_bytes: Counter[str] = Counter()
    outputs: list[str] = []
    warnings: list[str] = []
    user_files: dict[Path, os.stat_result] = {}
    visited: set[tuple[int, int] | str] = set()
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        try:
            entries = _entries(folder, visited)
        except OSError as error:
            if folder == root:
                raise read_error(str(root), error) from None
            warnings.append(f"{folder}: folder skipped, it cannot be read ({error.strerror})")
            continue
        if users := _slack_users(entries):
            user_files |= users
            warnings.append(f"{folder}: {slack_export.WARNING}")
            entries = [path for path in entries if path.name not in slack_export.METADATA]
        for path in entries:
            if os.path.isdir(path):  # unlike Path.is_dir, it never raises
                if is_artifact_folder(path):
                    outputs.append(path.relative_to(root).as_posix())
                else:
                    waiting.append(path)
            elif os.path.isfile(path):
                status = safe_stat(path)
                if status and status.st_size and accept(path):
                    files[path] = status
                else:
                    empty = status is not None and not status.st_size
                    kind = "empty" if empty else path.suffix or path.name
                    other[kind] += 1
                    other_bytes[kind] += status.st_size if status is not None else 0
    if not files:
        raise _no_text_files(root, other, outputs)
    total = other_bytes.total() + sum(status.st_size for status in files.values())
    warnings += [*_of_outputs(outputs), *describe_unread(other, other_bytes, total)]
    files, notes = _of_split(root, dict(sorted(files.items())), tuple(warnings), split)
    return FileListing(files, notes, user_files)


def _of_split(
    root: Path, files: dict[Path, os.stat_result], notes: tuple[str, ...], split: str | None
) -> tuple[dict[Path, os.stat_result], tuple[str, ...]]:
    """Return the files of `split`, archives left to their members; all of them if there is none."""
    inside = {path: path.relative_to(root) for path in files}
    splits = splits_of(inside.values())
    if split is None:
        note = f"splits {', '.join(splits)}: all are read; --split chooses one"
        return files, (*notes, note) if len(splits) > 1 else notes
    of_split = {
        path: status for path, status in files.items()
        if is_in_split(inside[path], split) or foreign_kind(path) in ARCHIVES
    }  # fmt: skip
    if not of_split:
        raise no_such_split(str(root), split, splits)
    return of_split, notes


def safe_stat(path: Path) -> os.stat_result | None:
    """Return what the system says of a file; None for one that vanished or is forbidden."""
    try:
        return path.stat()
    except OSError:
        return None


def _entries(folder: Path, visited: set[tuple[int, int] | str]) -> list[Path]:
    """Return what stands in `folder`, without hidden things; nothing if it is among those
    `visited`."""
    at = folder.stat()
    # Windows has no inode numbers for some file systems: there the real path serves.
    key = (at.st_dev, at.st_ino) if at.st_ino else os.path.realpath(folder)
    if key in visited:
        return []
    entries = sorted(folder.iterdir())
    visited.add(key)
    names = {path.name for path in entries}
    metadata = next((files for files in _DATA_SET_FILES if files <= names), frozenset())
    return [
        path for path in entries if not path.name.startswith(".") and path.name not in metadata
    ]  # fmt: skip


def _slack_users(entries: list[Path]) -> dict[Path, os.stat_result]:
    """Return the file that names the people of an export of Slack, if `entries` are one."""
    if not slack_export.may_be_slack_export({path.name for path in entries}):
        return {}
    path = next(path for path in entries if path.name == slack_export.USERS)
    status = safe_stat(path)
    return {path: status} if status and slack_export.read_user_names([path]) else {}


def _begins_with_text(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError:
        return False
    # Cut off in a character, the head still decodes but for its last three bytes.
    return b"\0" not in head and "\ufffd" not in head.decode("utf-8", "replace")[:-3]


def _of_outputs(outputs: list[str]) -> list[str]:
    if not outputs:
        return []
    outputs = sorted(outputs)
    listing = ", ".join(outputs[:_MAX_LISTED_FOLDERS]) + (
        ", …" if outputs[_MAX_LISTED_FOLDERS:] else ""
    )
    folders = "1 folder" if len(outputs) == 1 else f"{len(outputs)} folders"
    return [f"not read: {folders} that descend wrote ({listing})"]


def _own_output(root: Path) -> CorpusError:
    is_run = (root / RUN_FILE).exists()
    return CorpusError(
        str(root), f"{'a run' if is_run else 'an experiment'} of descend", "text",
        f"name a folder of text, or train that model further with `descend continue {root}`"
        if is_run
        else "name a folder of text",
    )  # fmt: skip


def _no_text_files(root: Path, other: Counter[str], outputs: list[str]) -> CorpusError:
    if not other:
        actual = "nothing but what descend wrote" if outputs else "an empty folder"
        return CorpusError(str(root), actual, "text", "put text there or name another corpus")
    kinds = sorted(other)
    listing = ", ".join(kinds[:MAX_LISTED_KINDS]) + (", …" if kinds[MAX_LISTED_KINDS:] else "")
    return CorpusError(
        str(root), f"only {format_count(other.total(), 'other file')} ({listing})",
        f"files such as {', '.join(SUFFIXES[:2])}, .html, .jsonl, .csv, .pdf, .docx or .epub",
        "name a folder with such files, or name one file to have it read as plain text",
    )  # fmt: skip
