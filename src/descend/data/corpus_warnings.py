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


NUM_LISTED = 2
"""Files that are named of those with the same warning."""


@contextmanager
def collect_warnings() -> Iterator[list[str]]:
    """Provide a list that fills with what is warned of meanwhile, which is logged as ever.

    A warning that says the same of several files, `NAME: TEXT`, is logged for the first at once,
    and at the end once for all the others.
    """
    messages: list[str] = []
    names_by_text: dict[str, list[str]] = {}

    def keep(record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        name, _, text = record.getMessage().partition(": ")
        names = names_by_text.setdefault(text, []) if text else []
        names.append(name)
        if len(names) == 1:
            messages.append(record.getMessage())
        return len(names) == 1

    # A filter: with a handler, Python would not show warnings any more where no other is set up.
    _log.addFilter(keep)
    try:
        yield messages
    finally:
        _log.removeFilter(keep)
        others = {text: list(dict.fromkeys(names))[1:] for text, names in names_by_text.items()}
        merged = [_merge(names, text) for text, names in others.items() if names]
        messages += merged
        log_warnings(merged)


def _merge(names: list[str], text: str) -> str:
    """Return one warning for files that have the same."""
    if len(names) <= NUM_LISTED:
        return f"{' and '.join(names)}: {text}"
    return f"{', '.join(names[:NUM_LISTED])}, and {len(names) - NUM_LISTED} more: {text}"
