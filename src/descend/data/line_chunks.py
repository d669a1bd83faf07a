"""Cutting long text where a tokenizer does not notice much: after a newline."""

from __future__ import annotations

import re
from collections.abc import Iterator

MAX_UNBROKEN_CHARS = 1 << 12
"""Characters without white space that a tokenizer gets at once: words are 40 at most, sentences of
Chinese some hundreds, and the time of a tokenizer grows faster than the length of a run."""

_RUN = re.compile(r"\S+")


def split_at_newlines(text: str, length: int) -> Iterator[str]:
    """Yield pieces of about `length` characters that join back to `text`, cut after a newline if
    any."""
    start = 0
    while len(text) - start > length:
        cut = text.rfind("\n", start, start + length) + 1 or start + length
        yield text[start:cut]
        start = cut
    if start < len(text):
        yield text[start:]


def run_pieces(text: str) -> Iterator[str]:
    """Yield pieces that join back to `text`, cut where more than `MAX_UNBROKEN_CHARS`
    characters are not spaces."""
    if max(map(len, text.split()), default=0) <= MAX_UNBROKEN_CHARS:
        yield text
        return
    start = 0
    for run in _RUN.finditer(text):
        while run.end() - max(start, run.start()) > MAX_UNBROKEN_CHARS:
            cut = max(start, run.start()) + MAX_UNBROKEN_CHARS
            yield text[start:cut]
            start = cut
    yield text[start:]
