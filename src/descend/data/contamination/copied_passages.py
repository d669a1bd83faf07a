"""Passages of a document that stand earlier in the same document, character for character.

Every run of `RUN` characters has a hash. Of the runs whose hash is chosen by its value, and so the
same ones in every copy, those that stood before are copies, and with them what adjoins them and is
equal. Memory: about 100 bytes for each character of a part of `PART` characters, and 2 for each
character of the document.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RUN = 256
"""Characters of the shortest passage that is dropped: more than a set phrase or a refrain."""
CHOSEN = 8
"""One run in so many is looked up: a passage of twice the length has dozens of them. Of a few
characters over and over, none may be."""
PART = 1 << 20
FACTOR = np.uint64(0x9E3779B97F4A7C15)
"""An odd number without pattern, by whose powers the characters of a run are weighed."""

Characters = NDArray[np.uint32]


def without_copied_passages(text: str) -> str:
    """Return `text` without the passages that stood in it before; whole lines where they hold
    any."""
    if len(text) < 2 * RUN:
        return text
    pieces, at = [], 0
    for start, end in _copied_spans(
        np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
    ):
        first, last = _whole_lines(text, start, end)
        pieces.append(text[at:first])
        at = last
    return "".join([*pieces, text[at:]]) if pieces else text


def _whole_lines(text: str, start: int, end: int) -> tuple[int, int]:
    """Return the lines that lie in text[start:end] as a whole, or all of it where no line does."""
    first = start if start == 0 or text[start - 1] == "\n" else text.find("\n", start, end) + 1
    last = end if end == len(text) or text[end - 1] == "\n" else text.rfind("\n", start, end) + 1
    return (first, last) if 0 < first < last else (start, end)


def _copied_spans(characters: Characters) -> list[tuple[int, int]]:
    """Return where copies begin and end, in order, none touching the next."""
    places, hashes = _chosen_runs(characters)
    _, first, group = np.unique(hashes, return_index=True, return_inverse=True)
    earlier = places[first][group]  # np.unique gives the first place of each hash
    spans: list[tuple[int, int]] = []
    for place, source in zip(places.tolist(), earlier.tolist(), strict=True):
        end = place + RUN
        if source == place or (spans and end <= spans[-1][1]):
            continue
        if not np.array_equal(characters[source : source + RUN], characters[place:end]):
            continue  # two runs of one hash
        start = place - _equal_before(characters, source, place)
        end += _equal_after(characters, source + RUN, end)
        if spans and start <= spans[-1][1]:
            start = spans.pop()[0]
        spans.append((start, end))
    return spans


def _equal_before(characters: Characters, source: int, place: int) -> int:
    """Return how many characters before both places are equal, up to `RUN`."""
    length = min(source, RUN)
    differ = characters[source - length : source] != characters[place - length : place]
    return length if not differ.any() else int(np.argmax(differ[::-1]))


def _equal_after(characters: Characters, source: int, place: int) -> int:
    """Return how many characters from both places on are equal, up to `RUN`."""
    length = min(len(characters) - place, RUN)
    differ = characters[source : source + length] != characters[place : place + length]
    return length if not differ.any() else int(np.argmax(differ))


def _chosen_runs(characters: Characters) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Return where the runs begin that are looked up, in order, and their hashes."""
    places, hashes = [], []
    for start in range(0, len(characters) - RUN + 1, PART):
        of_part = _run_hashes(characters[start : start + PART + RUN - 1])
        chosen = np.flatnonzero(of_part >> np.uint64(32) & np.uint64(CHOSEN - 1) == 0)
        places.append(chosen + start)
        hashes.append(of_part[chosen])
    return np.concatenate(places), np.concatenate(hashes)


def _run_hashes(characters: Characters) -> NDArray[np.uint64]:
    """Return the hash of every run of `RUN` characters, from those of its halves."""
    hashes = (characters.astype(np.uint64) + np.uint64(1)) * FACTOR
    hashes ^= hashes >> np.uint64(29)
    length, factor = 1, FACTOR
    with np.errstate(over="ignore"):
        while length < RUN:
            hashes = hashes[:-length] * factor + hashes[length:]
            length, factor = 2 * length, factor * factor
    return hashes
