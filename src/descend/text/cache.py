"""The one folder where descend keeps what it can make again: token stores, spools."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def cache_dir() -> Path:
    """The cache folder: `DESCEND_CACHE_DIR` if set, else the system's own place for caches.

    It need not exist yet.
    """
    named = os.environ.get("DESCEND_CACHE_DIR")
    if named:
        return Path(named).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("descend", appauthor=False)


def cache_size() -> int:
    """Bytes of all files in the cache."""
    folder = cache_dir()
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def clear_cache() -> int:
    """Delete the cache and return how many bytes that freed."""
    size = cache_size()
    shutil.rmtree(cache_dir(), ignore_errors=True)
    return size
