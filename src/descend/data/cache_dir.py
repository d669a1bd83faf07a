"""The one folder where descend keeps what it can make again: token stores, spools.

It also notes which texts the user has named. A run folder may be a stranger's, and then the paths
in its run.json are the stranger's choice: only those that the user has named are read.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from descend.errors import CorpusError

STREAMS = "stdin"
"""Folder of the copies of streams in the cache."""

_NAMED = "named"


def cache_dir() -> Path:
    """The cache folder: `DESCEND_CACHE_DIR` if set, else the system's own place for caches.

    It need not exist yet.
    """
    named = os.environ.get("DESCEND_CACHE_DIR")
    if named:
        return Path(named).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("descend", appauthor=False)


def remember_path(path: str | None) -> None:
    """Note that the user has named `path`; without a cache that can be written, it is not noted."""
    if path is None or path == "-":
        return
    mark = _mark(path)
    with suppress(OSError):
        if not mark.exists():
            cache_dir().mkdir(mode=0o700, parents=True, exist_ok=True)
            mark.parent.mkdir(mode=0o700, exist_ok=True)
            mark.touch()


def check_path(path: str | None, where: Path, embedded: tuple[str, ...] = ()) -> None:
    """Raise `CorpusError` if the run.json in `where` names a path that the user never named.

    Names of `embedded` corpora pass, as do the copies of streams, which descend itself made.
    """
    if path is None or path in embedded:
        return
    real = Path(os.path.realpath(Path(path).expanduser()))
    if real.parent == Path(os.path.realpath(cache_dir() / STREAMS)) or _mark(path).exists():
        return
    raise CorpusError(
        str(where), f"a text {path} that you have not named on this machine",
        "a text of your own: a folder from someone else may name any file",
        f"if you trust it, name the text once by `descend corpus stats {path}`",
    )  # fmt: skip


def _mark(path: str) -> Path:
    real = os.path.realpath(Path(path).expanduser())
    return cache_dir() / _NAMED / hashlib.sha256(os.fsencode(real)).hexdigest()
