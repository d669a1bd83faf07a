"""Plain text that form feeds divide into pages, as scanners and old printers write it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import chain

from descend.data.readers.running_lines import (
    RunningLines,
    describe_running_lines,
    strip_running_lines,
)

FORM_FEED = "\f"
MAX_PAGE_CHARS = 1 << 20
"""More without a form feed is handed on as a page."""


def strip_paged_text(texts: Iterator[str], name: str) -> Iterator[str]:
    """Yield a text without the running headers, footers, and numbers of its pages.

    A text without form feeds in its first piece, or without running lines, stays as it is. In
    place of a form feed, an empty line ends each page.
    """
    first = next(texts, "")
    if FORM_FEED not in first:
        yield from chain((first,), texts)
        return
    running = RunningLines()
    pages = enumerate(_pages(chain((first,), texts)))
    for _, text in strip_running_lines(pages, running):
        yield text.strip("\r\n\f") + "\n\n" if running.is_any else text
    if description := describe_running_lines(running.removed):
        logging.getLogger("descend").warning("%s: %s", name, description)


def _pages(texts: Iterator[str]) -> Iterator[str]:
    """Yield the pages, each with the form feed at its end."""
    pending = ""
    for text in texts:
        *whole, pending = (pending + text).split(FORM_FEED)
        for page in whole:
            yield page + FORM_FEED
        if len(pending) > MAX_PAGE_CHARS:
            yield pending
            pending = ""
    if pending:
        yield pending
