"""Warnings about a text that is read, also when it comes from the cache."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

_log = logging.getLogger("descend")


def log_warnings(warnings: Iterable[str]) -> None:
    """Log each of `notes` as a warning."""
    for warning in warnings:
        _log.warning("%s", warning)


@contextmanager
def collect_warnings() -> Iterator[list[str]]:
    """Provide a list that fills with what is warned of meanwhile, which is logged as ever."""
    messages: list[str] = []

    def keep(record: logging.LogRecord) -> bool:
        if record.levelno >= logging.WARNING:
            messages.append(record.getMessage())
        return True

    # A filter: with a handler, Python would not show warnings any more where no other is set up.
    _log.addFilter(keep)
    try:
        yield messages
    finally:
        _log.removeFilter(keep)
