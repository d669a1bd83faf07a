"""A record in the cache, sealed by its SHA-256: what is damaged is as if it was not there."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from descend.data.cache_dir import cache_dir
from descend.errors import DiskWriteError
from descend.guard import decode_json, read_regular
from descend.runs.atomic_write import PRIVATE, make_folder, write_file_atomic
from descend.runs.checksums import is_sealed, seal_json

RecordT = TypeVar("RecordT")


def write_cached(path: Path, record: object) -> None:
    """Write `record`, a JSON object, to `path`; without a disk that takes it, it is not kept."""
    with suppress(DiskWriteError, OSError):
        make_folder(cache_dir(), PRIVATE)
        write_file_atomic(path, seal_json(record))


def read_cached(path: Path, kind: type[RecordT]) -> RecordT | None:
    """Return the record at `path`; None if it is missing, damaged, or of another format."""
    try:
        content = read_regular(path)
        return decode_json(content, kind) if is_sealed(content) else None
    except (OSError, msgspec.DecodeError):
        return None
