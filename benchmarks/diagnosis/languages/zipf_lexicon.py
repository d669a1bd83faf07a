"""Words of Zipf frequencies, stem and ending: a language for questions of vocabulary."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from languages.entropy_rate import EntropyRate
from languages.markov_chain import Floats

STEM_LETTERS = "abdefgiklmo"
ENDING_LETTERS = "nprstuvy"
"""Endings share no letter with stems: a word says where its stem ends, so that it has one
derivation and the entropy is that of the two choices."""


@dataclass(frozen=True, slots=True, eq=False)
class Lexicon:
    """Stems and endings with their probabilities; a word is one of each, independently."""

    stems: tuple[str, ...]
    stem_probabilities: Floats
    endings: tuple[str, ...]
    ending_probabilities: Floats


def make_zipf_lexicon(
    stems: int, endings: int, seed: int, exponent: float = 1.0, noise: float = 0.0
) -> Lexicon:
    """Random spellings, shorter for frequent ones, with p(rank) proportional to rank^-exponent.

    `noise`, 0 to 1: fraction of stems and endings drawn uniformly instead.
    """
    source = np.random.default_rng(seed)
    if not 0 <= noise <= 1:
        raise ValueError(f"noise: found {noise}, expected 0 to 1")
    return Lexicon(
        _spellings(stems, STEM_LETTERS, source), _zipf(stems, exponent, noise),
        _spellings(endings, ENDING_LETTERS, source), _zipf(endings, exponent, noise),
    )  # fmt: skip


def sample_lexicon(lexicon: Lexicon, count: int, seed: int) -> str:
    """`words` words, each followed by a space."""
    source = np.random.default_rng(seed)
    stems = source.choice(len(lexicon.stems), count, p=lexicon.stem_probabilities)
    endings = source.choice(len(lexicon.endings), count, p=lexicon.ending_probabilities)
    return "".join(
        f"{lexicon.stems[s]}{lexicon.endings[e]} " for s, e in zip(stems, endings, strict=True)
    )


def lexicon_entropy(lexicon: Lexicon, count: int = 1) -> EntropyRate:
    """Exact nats and bytes of a document of `words` words (their number is known, not coded)."""
    nats = size = 0.0
    for spellings, p in (
        (lexicon.stems, lexicon.stem_probabilities),
        (lexicon.endings, lexicon.ending_probabilities),
    ):
        nats -= float(p @ np.log(p))
        size += float(p @ np.array([len(spelling) for spelling in spellings]))
    return EntropyRate(count * nats, count * (size + 1))


def _zipf(count: int, exponent: float, noise: float) -> Floats:
    weights: Floats = np.arange(1, count + 1) ** -float(exponent)
    mixed: Floats = (1 - noise) * weights / weights.sum() + noise / count
    return mixed


def _spellings(count: int, letters: str, source: np.random.Generator) -> tuple[str, ...]:
    """Different spellings, the short ones first."""
    spellings: dict[str, None] = {}
    length = 1
    while len(spellings) < count:
        # Half of the spellings of a length at most: the others stay free, as in real words.
        for _ in range(min(count - len(spellings), max(1, len(letters) ** length // 2))):
            spellings["".join(source.choice(list(letters), length))] = None
        length += 1
    return tuple(spellings)
