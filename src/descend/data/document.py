"""The unit that readers hand on."""

from __future__ import annotations

from dataclasses import dataclass


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
