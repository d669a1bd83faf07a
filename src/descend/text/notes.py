"""What a person is told of a text that is read, also when it comes from the cache."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

_log = logging.getLogger("descend")


def log_warnings(notes: Iterable[str]) -> None:
    """Log each of `notes` as a warning."""
    for note in notes:
        _log.warning("%s", note)


@contextmanager
def collect_warnings() -> Iterator[list[str]]:
    """A list that fills with what is warned of meanwhile, which is logged as ever."""
    kept: list[str] = []

    def keep(record: logging.LogRecord) -> bool:
        if record.levelno >= logging.WARNING:
            kept.append(record.getMessage())
        return True

    # A filter: with a handler, Python would not show warnings any more where no other is set up.
    _log.addFilter(keep)
    try:
        yield kept
    finally:
        _log.removeFilter(keep)
