"""The one folder where descend keeps what it can make again: token stores, spools."""

from __future__ import annotations

import os
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
