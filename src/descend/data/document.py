"""The unit that readers hand on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby


@dataclass(frozen=True, slots=True)
class Document:
    """A piece of text with the place it came from.

    A text too large to hold at once arrives as several documents in a row: `part` counts
    them from 0, and a part above 0 continues the document before it, so that joining
    their `text` gives the original back.
    """

    text: str
    source: str
    part_index: int = 0


def group_parts(documents: Iterable[Document]) -> Iterator[Iterator[Document]]:
    """Yield the parts of each document, one document after the other."""
    number = 0

    def count_documents(document: Document) -> int:
        nonlocal number
        number += document.part_index == 0
        return number

    for _, parts in groupby(documents, count_documents):
        yield parts
