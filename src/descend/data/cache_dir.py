"""The one folder where descend keeps what it can make again: token stores, spools.

It also notes which texts the user has named, and which runs were made here. A run folder may be a
stranger's, and then the paths in its run.json are the stranger's choice. A path is read if the user
has named it, or if this machine wrote that run.json: a folder of one's own may be moved with its
text.
"""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import suppress
from pathlib import Path

from descend.artifacts import RUN_FILE
from descend.errors import ConfigError, CorpusError
from descend.guard import read_regular

STREAMS = "stdin"
"""Folder of the copies of streams in the cache."""

_NAMED = "named"

_STREAM_COPY = re.compile(r"[0-9a-f]{64}\.(txt|jsonl)")
"""Name of the copy of a stream: the SHA-256 of its content."""


def cache_dir() -> Path:
    """Return the cache folder: `DESCEND_CACHE_DIR` if set, else the system's own place for caches.

    It need not exist yet.
    """
    named = os.environ.get("DESCEND_CACHE_DIR")
    if named:
        return Path(os.path.expanduser(named))
    from platformdirs import user_cache_path

    return user_cache_path("descend", appauthor=False)


def find_stream_copy(path: Path) -> Path:
    """Return where this machine has the copy of a stream that `path` names on another machine, or
    in another cache; else `path`.
    """
    copy = cache_dir() / STREAMS / path.name
    return copy if is_stream_copy(path) and copy.exists() else path


def is_stream_copy(path: Path) -> bool:
    """Return whether `path` is named like the copy of a stream in the cache of some machine."""
    return path.parent.name == STREAMS and _STREAM_COPY.fullmatch(path.name) is not None


def missing_stream_copy(path: str) -> CorpusError:
    """Return the error for a copy of a stream that this machine does not have."""
    return CorpusError(
        path, "no such copy of a stream in the cache of this machine",
        "what came from the data set or standard input",
        "read it once more here, by `descend corpus stats hf:NAME` with the options of the run, or "
        "`descend corpus stats -`",
    )  # fmt: skip


def remember_path(path: str | None) -> None:
    """Note that the user has named `path`; without a cache that can be written, it is not noted."""
    if path is not None and path != "-":
        _make_mark(_path_mark(path))


def remember_run(content: bytes) -> None:
    """Note that `content` is the run.json of a run made on this machine."""
    _make_mark(_run_mark(content))


def remember_checked(kind: str, content: bytes) -> None:
    """Note that `content` passed its check in a child process, so that it is done once."""
    _make_mark(_checked_mark(kind, content))


def is_checked(kind: str, content: bytes) -> bool:
    """Return whether `remember_checked` was called for it on this machine."""
    return _checked_mark(kind, content).exists()


def _make_mark(mark: Path) -> None:
    with suppress(OSError):
        if not mark.exists():
            cache_dir().mkdir(mode=0o700, parents=True, exist_ok=True)
            mark.parent.mkdir(mode=0o700, exist_ok=True)
            mark.touch()


def check_path(path: str | None, where: Path, embedded: tuple[str, ...] = ()) -> None:
    """Raise `CorpusError` if the run.json in `where` names a path that the user never named.

    Names of `embedded` corpora pass, as do the copies of streams, which descend itself made, and
    every path in a run.json that this machine wrote.
    """
    if path is None or path in embedded:
        return
    real = Path(os.path.realpath(find_stream_copy(Path(os.path.expanduser(path)))))
    if real.parent == Path(os.path.realpath(cache_dir() / STREAMS)):
        return
    if _path_mark(path).exists() or _is_own_run(where):
        return
    if is_stream_copy(real):
        raise missing_stream_copy(path)
    raise CorpusError(
        str(where), f"a text {path} that you have not named on this machine",
        "a text of your own: a folder from someone else may name any file",
        f"if you trust it, name the text once by `descend corpus stats {path}`",
    )  # fmt: skip


def check_teachers(folders: tuple[str, ...], where: Path) -> None:
    """Raise `ConfigError` if the run.json in `where` names teachers, and this machine did not write
    it: a folder from someone else may name any other."""
    if folders and not _is_own_run(where):
        raise ConfigError(
            "teachers", f"{folders[0]} in a run that was not begun on this machine",
            "a run that was begun here", "train again with `descend train --teachers`",
        )  # fmt: skip


def _is_own_run(folder: Path) -> bool:
    """Return whether the run.json in `folder` is, byte for byte, one that this machine wrote."""
    try:
        return _run_mark(read_regular(folder / RUN_FILE)).exists()
    except OSError:
        return False


def _path_mark(path: str) -> Path:
    real = os.path.realpath(os.path.expanduser(path))
    return cache_dir() / _NAMED / hashlib.sha256(os.fsencode(real)).hexdigest()


def _run_mark(content: bytes) -> Path:
    return cache_dir() / _NAMED / f"run-{hashlib.sha256(content).hexdigest()}"


def _checked_mark(kind: str, content: bytes) -> Path:
    return cache_dir() / _NAMED / f"{kind}-{hashlib.sha256(content).hexdigest()}"
