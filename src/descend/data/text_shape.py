"""Things in a text that make its losses say something else: parts that differ, lines that repeat,
phrases that make up much of it, words that are split at the ends of lines, and random ids."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import NamedTuple

import numpy as np

from descend.data.ngram_baselines import Tokens
from descend.data.repeated_phrases import RepeatedPhrase, find_repeated_phrases
from descend.data.token_store import TokenStore

LINE_TOKENS = 50_000
"""Training tokens whose lines are compared."""

SLICES, SLICE_TOKENS = 64, 20_000
"""Of a longer text this is counted, spread over all of it."""

MIN_LINES = 50
"""Fewer are too few to call a text repetitive."""

MAX_SYMBOLS, SYMBOL_COVERAGE = 16, 0.99
"""Different characters that make up so much of a text of symbols, at most. First guess: DNA has 4,
sums have 13, and prose without spaces has 24."""

MAX_SPACE_FRACTION = 0.02
"""Of the characters of a text without words; of English prose 0.17 are spaces."""

_NUMBER = re.compile(r"\d+")
_RANDOM_ID = re.compile(r"\b(?=[0-9a-f-]*[a-f])(?=[a-f-]*\d)[0-9a-f]{8,}(?:-[0-9a-f]{4,})*\b", re.I)
_SPLIT_WORD = re.compile(r"[^\W\d_]{2,}[-\u00ad\u00ac]\n\s*[^\W\d_]{2,}")


class TextShape(NamedTuple):
    """What is measured of the training and the validation text of a corpus."""

    validation_divergence: float
    """Jensen-Shannon divergence of the token frequencies of both, in bits: 0 where they are alike,
    1 where they have no token in common."""
    repeated_line_fraction: float
    """Lines of the training text that repeat an earlier one, numbers aside."""
    repeated_phrases: tuple[RepeatedPhrase, ...] = ()
    """What makes up much of the text, most of it first."""
    split_word_fraction: float = 0.0
    """Lines of the training text that end within a word, with a hyphen."""
    random_id_fraction: float = 0.0
    """Characters of the training text in hexadecimal ids, which nothing predicts."""


def measure_text_shape(store: TokenStore) -> TextShape:
    """Measure the text of `store`."""
    text = start_of_text(store)
    return TextShape(
        token_divergence(store.train, store.validation, store.tokenizer.vocab_size),
        repeated_line_fraction(text),
        find_repeated_phrases(store.text.documents),
        split_word_fraction(text),
        random_id_fraction(text),
    )


def start_of_text(store: TokenStore) -> str:
    """Return the first `LINE_TOKENS` training tokens as text."""
    return store.tokenizer.decode(store.train[:LINE_TOKENS].tolist())


def has_words(text: str) -> bool:
    """Return whether `text` has words or many characters: False for DNA, sums, and other symbols.

    Merges of byte-pair encoding find words. In a sequence of symbols they hide where each one
    stands, so a network that reads the symbols themselves ends lower
    (`benchmarks/plan/symbols.py`).
    """
    counts = Counter(text)
    covered = sum(count for _, count in counts.most_common(MAX_SYMBOLS))
    has_few_symbols = covered >= SYMBOL_COVERAGE * len(text) > 0
    return not has_few_symbols or counts[" "] > MAX_SPACE_FRACTION * len(text)


def token_divergence(train: Tokens, validation: Tokens, vocab_size: int) -> float:
    """Return the Jensen-Shannon divergence of the token frequencies (Lin 1991), in bits.

    Less what so few tokens as `validation` differ by chance: (K - 1) / (8 n ln 2) for n of them and
    K different tokens, the bias of Grosse et al. (2002).
    """
    counts = [np.bincount(_spread(part), minlength=vocab_size) for part in (train, validation)]
    p, q = (count / max(count.sum(), 1) for count in counts)
    middle = (p + q) / 2
    divergence = sum(
        float((part[part > 0] * np.log2(part[part > 0] / middle[part > 0])).sum()) / 2
        for part in (p, q)
    )
    kinds = int(((counts[0] + counts[1]) > 0).sum())
    bias = (kinds - 1) / (8 * max(int(counts[1].sum()), 1) * math.log(2))
    return max(divergence - bias, 0.0)


def _spread(tokens: Tokens) -> Tokens:
    """Return `tokens`, or of many `SLICES` pieces, evenly spread."""
    if len(tokens) <= SLICES * SLICE_TOKENS:
        return np.asarray(tokens)
    starts = np.linspace(0, len(tokens) - SLICE_TOKENS, SLICES).astype(np.int64)
    return np.concatenate([tokens[start : start + SLICE_TOKENS] for start in starts])


def repeated_line_fraction(text: str) -> float:
    """Return how many of the lines of `text` repeat an earlier one but for their numbers; 0 for
    fewer than `MIN_LINES`."""
    lines = [line for line in map(str.strip, text.split("\n")) if line]
    if len(lines) < MIN_LINES:
        return 0.0
    return 1 - len({_NUMBER.sub("0", line) for line in lines}) / len(lines)


def split_word_fraction(text: str) -> float:
    """Return how many of the lines of `text` end within a word, with a hyphen, as those of scanned
    books do; 0 for fewer than `MIN_LINES`."""
    num_lines = text.count("\n")
    return len(_SPLIT_WORD.findall(text)) / num_lines if num_lines >= MIN_LINES else 0.0


def random_id_fraction(text: str) -> float:
    """Return how many of the characters of `text` stand in hexadecimal ids of eight digits or more,
    as those of requests and commits in a log."""
    return sum(map(len, _RANDOM_ID.findall(text))) / max(len(text), 1)
