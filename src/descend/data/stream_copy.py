"""Copies of streams in the cache: what can be read once becomes a file that can be read again."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from descend.data.cache_dir import STREAMS, cache_dir
from descend.errors import DiskWriteError


def copy_to_cache(blocks: Iterable[bytes], name: str, suffix: str) -> Path | None:
    """Write `blocks` to a file in the cache, and return it; None if there was nothing.

    Its name is the SHA-256 of its content, with `suffix`. `name` is for humans. Raises
    `DiskWriteError` where the cache cannot be written.
    """
    folder = cache_dir() / STREAMS
    digest = hashlib.sha256()
    size = 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, aside = tempfile.mkstemp(dir=folder)
        try:
            with os.fdopen(handle, "wb") as file:
                for block in blocks:
                    digest.update(block)
                    size += file.write(block)
            if not size:
                Path(aside).unlink()
                return None
            path = folder / f"{digest.hexdigest()}{suffix}"
            os.replace(aside, path)
            return path
        except BaseException:
            Path(aside).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise DiskWriteError(
            str(folder), f"no way to keep {name} there ({error.strerror})", "a folder with room",
            "free some space or set DESCEND_CACHE_DIR to another folder",
        ) from None  # fmt: skip
