"""What a person wrote about a run: tags and a note, in annotation.json of its folder."""

from __future__ import annotations

from pathlib import Path

import msgspec

from descend.errors import RunFolderError
from descend.guard import decode_json, read_regular
from descend.runs.atomic_write import write_file_atomic

ANNOTATION = "annotation.json"

MAX_TAGS, MAX_TAG, MAX_NOTE = 20, 40, 4000
"""Tags of a run, characters of a tag, characters of a note."""

_MAX_BYTES = 2**16


class RunAnnotation(msgspec.Struct, frozen=True):
    """Tags and a note; neither changes anything about the run."""

    tags: list[str] = []
    note: str = ""
    origin: str | None = None
    """Name of the run that this one improved."""


def read_annotation(folder: Path) -> RunAnnotation:
    """Return what was written about the run in `folder`; empty if nothing was, or if it is damaged.

    A note is never the reason why a run cannot be shown.
    """
    try:
        return _within_limits(
            decode_json(read_regular(folder / ANNOTATION, _MAX_BYTES), RunAnnotation)
        )
    except (OSError, msgspec.DecodeError):
        return RunAnnotation()


def write_annotation(folder: Path, annotation: RunAnnotation) -> RunAnnotation:
    """Write `annotation` into `folder`, tags trimmed and each once; `RunFolderError` if too long.

    An empty one removes the file.
    """
    tags = list(dict.fromkeys(tag for text in annotation.tags if (tag := " ".join(text.split()))))
    clean = RunAnnotation(tags, annotation.note.strip(), annotation.origin)
    if clean != _within_limits(clean):
        raise RunFolderError(
            str(folder / ANNOTATION), "more than fits",
            f"at most {MAX_TAGS} tags of {MAX_TAG} characters, and a note of {MAX_NOTE:,}",
            "shorten it",
        )  # fmt: skip
    if clean == RunAnnotation():
        (folder / ANNOTATION).unlink(missing_ok=True)
    else:
        write_file_atomic(folder / ANNOTATION, msgspec.json.encode(clean))
    return clean


def _within_limits(annotation: RunAnnotation) -> RunAnnotation:
    tags = [tag[:MAX_TAG] for tag in annotation.tags[:MAX_TAGS]]
    return RunAnnotation(tags, annotation.note[:MAX_NOTE], annotation.origin)
