"""Text that streams in, cut into parts or lines that fit into memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from descend.data.document import Document
from descend.errors import CorpusError

CHUNK_CHARS = 1 << 20
# The longest line, or value of a record, that is taken as one, in characters.
MAX_LINE_CHARS = 1 << 28


def document_chunks(texts: Iterable[str], source: str) -> Iterator[Document]:
    """Yield one document of the joined pieces, in parts small enough to hold in memory."""
    for number, part in enumerate(split_into_chunks(iter(texts))):
        yield Document(part, source, number)


def split_into_chunks(texts: Iterator[str]) -> Iterator[str]:
    """Yield the same text in parts of at most `CHUNK_CHARS` characters, cut after newlines if any.

    Joined, the parts are the joined pieces; `\\r\\n` is never split.
    """
    pending = ""
    for text in texts:
        pending += text
        while len(pending) > CHUNK_CHARS:
            cut = pending.rfind("\n", 0, CHUNK_CHARS) + 1 or CHUNK_CHARS
            if pending[cut - 1 : cut + 1] == "\r\n":
                cut -= 1
            yield pending[:cut]
            pending = pending[cut:]
    if pending:
        yield pending


def split_into_lines(texts: Iterable[str], name: str) -> Iterator[str]:
    """Yield the lines of a text with their ends; raises `CorpusError` on one beyond
    `MAX_LINE_CHARS`."""
    pending: list[str] = []
    length = 0
    for text in texts:
        first, newline, rest = text.partition("\n")
        pending.append(first + newline)
        length += len(first)
        if length > MAX_LINE_CHARS:
            raise CorpusError(
                name, f"a line of over {MAX_LINE_CHARS:,} characters", "shorter ones",
                "divide it or remove the file",
            )  # fmt: skip
        if not newline:
            continue
        yield "".join(pending)
        *whole, last = rest.split("\n")
        for line in whole:
            yield line + "\n"
        pending, length = [last], len(last)
    if "".join(pending):
        yield "".join(pending)
