"""Cutting long text where a tokenizer does not notice much: after a newline."""

from __future__ import annotations

from collections.abc import Iterator


def newline_pieces(text: str, length: int) -> Iterator[str]:
    """Pieces of about `length` characters that join back to `text`, cut after a newline if any."""
    start = 0
    while len(text) - start > length:
        cut = text.rfind("\n", start, start + length) + 1 or start + length
        yield text[start:cut]
        start = cut
    if start < len(text):
        yield text[start:]
