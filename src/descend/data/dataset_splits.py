"""Data sets in splits: which files are of the one that is requested."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePath

from descend.errors import CorpusError

_ALIASES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev", "eval"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_DIVIDERS = re.compile(r"[-._ ]")
DATA_SUFFIXES = frozenset((".parquet", ".arrow", ".jsonl", ".json", ".csv", ".tsv", ".ndjson"))


def named_split(path: PurePath) -> str | None:
    """Return the split that a path names by a folder or the beginning of the file's name, if
    any."""
    for part in reversed(path.parts):
        split = _ALIASES.get(_DIVIDERS.split(part.lower(), maxsplit=1)[0])
        if split is not None:
            return split
    return None


def is_in_split(path: PurePath, split: str) -> bool:
    """Return whether a path names the split: a usual one by any of its names, others by their
    own."""
    split_name = split.lower()
    if split_name in _ALIASES:
        return named_split(path) == _ALIASES[split_name]
    return any(
        part.lower() == split_name or re.match(re.escape(split_name) + r"[-._ ]", part.lower())
        for part in path.parts
    )


def splits_of(paths: Iterable[PurePath]) -> list[str]:
    """Return the splits that files of data name, sorted."""
    named = {named_split(path) for path in paths if path.suffix.lower() in DATA_SUFFIXES}
    return sorted(split for split in named if split is not None)


def no_such_split(root: str, split: str, known: list[str]) -> CorpusError:
    """Return the error for a folder of which no file names the split."""
    return CorpusError(
        root, f"no file of a split {split} (its splits: {', '.join(known) or 'none'})",
        "files such as train-00000.parquet or a folder train/", "correct split or leave it out",
    )  # fmt: skip
