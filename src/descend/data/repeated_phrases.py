"""Lines and sentences that make up much of a text, as those of a bot or an advertisement do.

Numbers, mentions, addresses, and one word may differ between two of the same phrase. A phrase has
words enough to say something: the name of a speaker and a line of code have not. In a log, and
where nearly all of a text repeats so, that is what the text is, and nothing is named.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from descend.data.document_store import DocumentStore
from descend.data.readers.chats import MARKERS

MIN_COUNT = 20
"""Times that a phrase stands in the sample: the refrain of a song stands there less often."""
MIN_UNITS = 300
"""Lines; a text of fewer is a poem or a note, and what repeats in it is meant."""
MIN_FRACTION = 0.01
"""Of the characters, for one phrase to be named."""
MAX_REPEATED_FRACTION = 0.8
"""Of the characters, and of the lines for those of a log; from here on all is made of patterns."""
MIN_WORDS, MIN_LETTERS, MIN_UNSPACED_LETTERS = 4, 16, 8
"""Of a phrase; the last of scripts without spaces, where a character says more."""
MAX_NAME_CHARS, MIN_NAME_WORD = 40, 4
"""A line is the name of a speaker up to so many characters, where each word of so many letters
begins with a capital."""
MAX_WORDS = 40
"""Of a phrase of which one word may differ."""
NUM_NAMED, MAX_NAMED_CHARS = 4, 60
SAMPLES, SAMPLE_BYTES = 16, 1 << 14
"""Of a longer text these are counted, spread over all of it."""

_ADDRESS = re.compile(r"(?:https?://|www\.)\S+")
_MENTION = re.compile(r"<@[!&]?\w+>|(?<!\w)@\w[\w.-]*")
_NUMBER = re.compile(r"\b(?=\w*\d)[0-9a-fA-F-]{6,}\b|\d+")
_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])")
_WORD = re.compile(r"[^\W\d_]{2,}")
_UNSPACED = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]")
_CODE = re.compile(r"[{}\t\\=]|</\w|/>|[;)\]:]$|^(?:import|from|#include|using)\b|\|.*\||;.*;")
"""Signs of code, markup, and rows of a table, and labels before what follows."""
_LOGGED = re.compile(r".{0,60}\d\d:\d\d:\d\d(?!\S*\s*<)")
"""A line with a time to the second, and no speaker after it."""
_SLOT = "\0"


@dataclass(frozen=True)
class RepeatedPhrase:
    """A phrase as it first stands in a text, cut to one short line."""

    text: str
    fraction: float
    """Of the characters of the text, 0 to 1."""


def find_repeated_phrases(documents: DocumentStore) -> tuple[RepeatedPhrase, ...]:
    """Return what makes up much of `documents`, or of an even sample of them, most of it first."""
    return repeated_phrases(sample_lines(documents))


def repeated_phrases(lines: Iterable[str]) -> tuple[RepeatedPhrase, ...]:
    """Return the phrases among `lines` that are `MIN_FRACTION` of the characters or more."""
    lines = _own_lines(lines)
    num_logged = sum(bool(_LOGGED.match(line)) for line in lines)
    if len(lines) < MIN_UNITS or num_logged > MAX_REPEATED_FRACTION * len(lines):
        return ()
    total = sum(map(len, lines))
    counts: Counter[str] = Counter(key for line in lines for key in _patterns(line))
    rest = [line for line in lines if counts[_best(line, counts)] < MIN_COUNT]
    units = [line for line in lines if counts[_best(line, counts)] >= MIN_COUNT]
    sentences = [part for line in rest for part in _SENTENCE_END.split(line) if part != line]
    counts += Counter(key for sentence in sentences for key in _patterns(sentence))
    units += [one for one in sentences if counts[_best(one, counts)] >= MIN_COUNT]
    if sum(map(len, units)) > MAX_REPEATED_FRACTION * total:
        return ()
    first: dict[str, str] = {}
    chars: Counter[str] = Counter()
    for unit in filter(_is_phrase, units):
        key = _best(unit, counts)
        first.setdefault(key, unit)
        chars[key] += len(unit)
    return tuple(
        RepeatedPhrase(_beginning(first[key]), length / total)
        for key, length in chars.most_common()
        if length >= MIN_FRACTION * total
    )


def _beginning(phrase: str) -> str:
    return phrase if len(phrase) <= MAX_NAMED_CHARS else f"{phrase[: MAX_NAMED_CHARS - 1]}…"


def sample_lines(documents: DocumentStore) -> Iterator[str]:
    """Yield the lines of `documents`; of many bytes those of `SAMPLES` pieces, cut ones aside."""
    whole = documents.nbytes <= SAMPLES * SAMPLE_BYTES
    size = documents.nbytes if whole else SAMPLE_BYTES
    step = (documents.nbytes - size) // (SAMPLES - 1)
    bounds = documents.offsets
    for start in [0] if whole else range(0, step * SAMPLES, step):
        end = start + size
        inner = bounds[(bounds > start) & (bounds < end)].tolist()
        cuts = [start, *inner, end]
        for low, high in pairwise(cuts):
            lines = documents.bytes(low, high).decode("utf-8", "ignore").splitlines()
            is_cut = not whole and low == start, not whole and high == end
            yield from lines[is_cut[0] : len(lines) - is_cut[1]]


def _own_lines(lines: Iterable[str]) -> list[str]:
    """Return the lines with text, without what a system and a user say in a conversation: the same
    instruction before each text is how such data is written."""
    own = []
    is_request = False
    for line in map(str.strip, lines):
        if line in MARKERS:
            is_request = line != "<|assistant|>"
        elif line and not is_request:
            own.append(line)
    return own


def _patterns(unit: str) -> list[str]:
    """Return what `unit` is but for numbers and names, as it is and with any one word left out."""
    masked = _NUMBER.sub("0", _MENTION.sub("@", _ADDRESS.sub("www", unit)))
    words = masked.split()
    if not MIN_WORDS < len(words) <= MAX_WORDS:
        return [masked]
    return [masked] + [" ".join([*words[:n], _SLOT, *words[n + 1 :]]) for n in range(len(words))]


def _best(unit: str, counts: Counter[str]) -> str:
    """Return the pattern of `unit` that occurs most often; of equal ones the most exact."""
    return max(_patterns(unit), key=lambda key: counts[key])


def _is_phrase(unit: str) -> bool:
    """Return whether `unit` says something in words."""
    if len(_UNSPACED.findall(unit)) >= MIN_UNSPACED_LETTERS:
        return True
    words = _WORD.findall(unit)
    enough = len(words) >= MIN_WORDS and sum(map(len, words)) >= MIN_LETTERS
    return enough and not _is_name(unit, words) and not _CODE.search(unit)


def _is_name(unit: str, words: list[str]) -> bool:
    is_title = all(word[0].isupper() for word in words if len(word) >= MIN_NAME_WORD)
    return is_title and len(unit) <= MAX_NAME_CHARS and not any(c.isdigit() for c in unit)
