"""Passages that recur across documents: menus, notices and licenses that a site or a program adds.

A line of `MIN_CHARS` characters recurs if it stands in `MIN_FRACTION` of the documents, and so does
a pair of shorter lines that follow each other. Passages are lines in a row that recur so. A short
line recurs alone where the documents are pages of a book, and it is a running one (`page_lines`).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, islice

import numpy as np
from numpy.typing import NDArray

from descend.data.contamination.page_lines import learn_page_lines, page_line_numbers
from descend.data.readers.chats import MARKERS
from descend.data.readers.running_lines import WINDOW_PAGES, RunningLines, line_pattern

MIN_REPEATS, MIN_FRACTION = 3, 0.05
"""Documents, and fraction of them, in which a line stands to recur. Set phrases of a language
(a line of dialogue, a closing brace) recur too: hence the length."""
MIN_PAGES = 10
"""Documents under which what stands at the ends of several may be chance."""
MIN_CHARS = 40
"""Of a line that recurs alone, and of a passage."""
MAX_DOCUMENTS, MAX_CHARS = 20_000, 1 << 25
"""Documents and characters looked at; of a larger corpus an even sample."""
NUM_LISTED_PASSAGES, MAX_PASSAGE_CHARS = 3, 60

Texts = Callable[[], Iterable[str]]
Units = NDArray[np.int64]


@dataclass(frozen=True)
class RecurringUnits:
    """What recurs across `documents` texts."""

    hashes: Units
    """Of lines and of pairs of lines, ascending."""
    running: RunningLines
    """Those at the ends of texts."""
    documents: int


@dataclass(frozen=True)
class RecurringPassage:
    """A passage, its beginning as one line, and in how many documents it stands."""

    beginning: str
    documents: int
    fraction: float
    """Of the characters of all documents, 0 to 1."""


@dataclass(frozen=True)
class Boilerplate:
    """What recurs across `documents` documents, the passages with the most characters first."""

    documents: int
    fraction: float
    """Of the characters, 0 to 1."""
    passages: list[RecurringPassage]


def find_boilerplate(texts: Texts) -> Boilerplate | None:
    """Return the recurring passages of `texts()`, which is gone through twice; None if too few."""
    units = recurring_units(texts)
    if units.documents < MIN_REPEATS:
        return None
    counts: Counter[str] = Counter()
    chars: Counter[str] = Counter()
    total = 0
    for index, text in enumerate(texts()):
        total += len(text)
        inside: set[str] = set()
        for label, num_chars in _passages(text, units, index):
            beginning = " ".join(label[:4096].split())[:MAX_PASSAGE_CHARS]
            inside.add(beginning)
            chars[beginning] += num_chars
        counts.update(inside)
    return Boilerplate(
        units.documents,
        chars.total() / max(1, total),
        [
            RecurringPassage(beginning, counts[beginning], length / total)
            for beginning, length in chars.most_common(NUM_LISTED_PASSAGES)
        ],
    )


def recurring_units(texts: Texts) -> RecurringUnits:
    """Return what recurs across `texts()`."""
    per_text: list[Units] = []
    running = RunningLines()
    rest = iter(texts())
    while window := list(islice(rest, WINDOW_PAGES)):
        if len(window) >= MIN_PAGES:
            learn_page_lines(running, window, len(per_text))
        per_text += [np.unique(_units(text)) for text in window]
    if not per_text:
        return RecurringUnits(np.zeros(0, dtype=np.int64), running, 0)
    hashes, counts = np.unique(np.concatenate(per_text), return_counts=True)
    recurs = counts >= max(MIN_REPEATS, MIN_FRACTION * len(per_text))
    return RecurringUnits(hashes[recurs], running, len(per_text))


def without_boilerplate(text: str, units: RecurringUnits, index: int) -> str:
    """Return the text, the one at `index`, without the lines of its recurring passages."""
    lines = text.splitlines(keepends=True)
    labels = _labels(lines, units, index)
    return "".join(line for line, label in zip(lines, labels, strict=True) if label is None)


def _passages(text: str, units: RecurringUnits, index: int) -> Iterator[tuple[str, int]]:
    """Yield each recurring passage: its lines with `#` for page numbers, and its characters."""
    lines = text.splitlines(keepends=True)
    labeled = zip(lines, _labels(lines, units, index), strict=True)
    for recurs, passage in groupby(labeled, lambda pair: pair[1] is not None):
        if recurs:
            pairs = list(passage)
            yield "".join(label or "" for _, label in pairs), sum(len(line) for line, _ in pairs)


def _labels(lines: list[str], units: RecurringUnits, index: int) -> list[str | None]:
    """Return what each line that recurs is called; None for the others."""
    marked = _recurring(lines, units.hashes)
    labels = [line if recurs else None for line, recurs in zip(lines, marked, strict=True)]
    for number in page_line_numbers(units.running, lines, index):
        labels[number] = labels[number] or line_pattern(lines[number]) + "\n"
    return labels


def _recurring(lines: list[str], units: Units) -> list[bool]:
    """Return which lines are of a recurring passage of `MIN_CHARS` characters."""
    places = _places(lines)
    hashes = np.array([unit for unit, _ in places], dtype=np.int64)
    at = np.minimum(np.searchsorted(units, hashes), max(0, len(units) - 1))
    recurs = units[at] == hashes if len(units) else np.zeros(len(hashes), dtype=np.bool_)
    marked = [False] * len(lines)
    for (_, span), hit in zip(places, recurs.tolist(), strict=True):
        if hit:
            for number in range(span[0], span[1] + 1):
                marked[number] = True
    first = 0
    for number in range(len(lines) + 1):
        if number < len(lines) and marked[number]:
            continue
        if sum(len(line.strip()) for line in lines[first:number]) < MIN_CHARS:
            marked[first:number] = [False] * (number - first)
        first = number + 1
    return marked


def _units(text: str) -> Units:
    return np.array([unit for unit, _ in _places(text.splitlines())], dtype=np.int64)


def _places(lines: list[str]) -> list[tuple[int, tuple[int, int]]]:
    """Return the hash of each long line and of each pair of lines, with its first and last line."""
    places = []
    before: tuple[int, str] | None = None
    for number, line in enumerate(lines):
        said = line.strip()
        if not said:
            continue
        if said in MARKERS:
            before = None
            continue
        if len(said) >= MIN_CHARS:
            places.append((_hash(said), (number, number)))
        if before is not None:
            places.append((_hash(f"{before[1]}\n{said}"), (before[0], number)))
        before = (number, said)
    return places


def _hash(text: str) -> int:
    digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)
