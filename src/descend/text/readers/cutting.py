"""Text that streams in, cut into parts or lines that fit into memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from descend.errors import CorpusError
from descend.text.document import Document

CHUNK_CHARS = 1 << 20
# The longest line, or value of a record, that is taken as one, in characters.
MAX_LINE_CHARS = 1 << 28


def document_chunks(pieces: Iterable[str], source: str) -> Iterator[Document]:
    """One document of the joined pieces, in parts small enough to hold in memory."""
    for number, part in enumerate(split_into_chunks(iter(pieces))):
        yield Document(part, source, number)


def split_into_chunks(pieces: Iterator[str]) -> Iterator[str]:
    """The same text in parts of at most `PART_CHARS` characters, cut after newlines if any.

    Joined, the parts are the joined pieces; `\\r\\n` is never split.
    """
    held = ""
    for piece in pieces:
        held += piece
        while len(held) > CHUNK_CHARS:
            cut = held.rfind("\n", 0, CHUNK_CHARS) + 1 or CHUNK_CHARS
            if held[cut - 1 : cut + 1] == "\r\n":
                cut -= 1
            yield held[:cut]
            held = held[cut:]
    if held:
        yield held


def split_into_lines(pieces: Iterable[str], name: str) -> Iterator[str]:
    """The lines of a text with their ends; raises `CorpusError` on one beyond `MAX_LINE`."""
    held: list[str] = []
    length = 0
    for piece in pieces:
        first, newline, rest = piece.partition("\n")
        held.append(first + newline)
        length += len(first)
        if length > MAX_LINE_CHARS:
            raise CorpusError(
                name, f"a line of over {MAX_LINE_CHARS:,} characters", "shorter ones",
                "divide it or remove the file",
            )  # fmt: skip
        if not newline:
            continue
        yield "".join(held)
        *whole, last = rest.split("\n")
        for line in whole:
            yield line + "\n"
        held, length = [last], len(last)
    if "".join(held):
        yield "".join(held)
