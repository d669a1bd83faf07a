"""How much of the validation text stands in the training text with small changes: another edition,
a quotation, the same page with another date. `overlap` finds only what is the same word for
word."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from descend.data.contamination.duplicate_documents import normalize_words
from descend.data.contamination.exact_overlap import hash_windows

Tokens = npt.NDArray[np.integer[Any]]
Hashes = npt.NDArray[np.uint64]
Positions = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Decode = Callable[[Sequence[int]], str]

SHINGLE_SIZE = 4
"""Words of a run, a power of two: so short that changes leave some whole. In four books 2 to 6 % of
those held out stand in the training text (benchmarks/results/ranges/near_copies.json)."""
SEGMENT_SIZE = 48
"""Words, about, of a passage that is judged as a whole: some lines of a page. Where each character
counts as a word (`duplicates.words`), so many characters."""
MIN_MATCH_FRACTION = 0.4
"""Fraction of a passage's runs that stand in one place of the other text, in their order, from
which it is a near copy. In four books no honest passage in a hundred reaches it, and of those with
one word in six changed three quarters do (the same file)."""
MAX_ALIGNMENT_DRIFT = 12
"""Words by which they may stand nearer or further apart there, since words come and go. A text of
set phrases has each of them somewhere, but not at the same distances."""
MAX_MATCHES = 50
"""Of a run in the training text that are remembered, the first."""
MIN_SHINGLES = 12
"""Of a passage that can be judged: writing without spaces, other than that of characters, has no
words to compare."""
MIN_SEGMENTS = 8
"""Under so many a share means nothing."""
SAMPLE = 512
"""Passages of the training text that are held to the rest of it."""
MAX_FUZZY_TRAIN_TOKENS = 20_000_000
"""Training tokens that are looked at, the first: under a minute. A near copy of a later passage is
not found."""
MAX_FUZZY_VALIDATION_TOKENS = 5_000_000
"""Validation tokens that are looked for, the first."""
CHUNK = 1 << 18
"""Training tokens whose words are compared at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class FuzzyOverlap:
    """Passages of validation text that stand in the training text, or nearly."""

    covered: Mask
    """For each validation token, whether its passage does."""
    fraction: float
    """Of validation passages."""
    train_repeat_fraction: float
    """Fraction of the training text's passages that stand in it a second time, or nearly: text of
    few words says the same again and again without having been copied."""
    excess_fraction_lower_bound: float
    """By how much, at the least, `share` is above `repeats`: the lower end of the 95 % interval of
    the difference, 0 to 1. That much of the validation text was copied."""


@dataclass(frozen=True, slots=True, eq=False)
class _ShingleIndex:
    """Where the runs that were looked for stand in the training text."""

    hashes: Hashes
    """Of all of them, sorted."""
    starts: Positions
    """Of each one's places in `places`, and the end of the last."""
    positions: Positions
    """Words from the beginning of the training text."""

    def of(self, runs: Hashes) -> tuple[Positions, Positions]:
        """Return where the passage of `runs` would begin if it stood where one of them does, for
        each place of each, ascending; and which of the runs it is."""
        which = np.searchsorted(self.hashes, runs)
        counts = np.minimum(self.starts[which + 1] - self.starts[which], MAX_MATCHES)
        numbers = np.repeat(np.arange(len(runs)), counts)
        first = np.repeat(self.starts[which] - (np.cumsum(counts) - counts), counts)
        begins = self.positions[first + np.arange(len(numbers))] - numbers
        order = np.argsort(begins, kind="stable")
        return begins[order], numbers[order]


def find_fuzzy_overlap(train: Tokens, validation: Tokens, decode: Decode) -> FuzzyOverlap | None:
    """Return which validation passages have `MIN_MATCH_FRACTION` of their runs of words together in
    the training text.

    Case and punctuation do not count. None where the text has too few words to tell.
    """
    train, validation_sample = (
        train[:MAX_FUZZY_TRAIN_TOKENS],
        validation[:MAX_FUZZY_VALIDATION_TOKENS],
    )
    length = _tokens_per_segment(validation_sample, decode)
    if length is None:
        return None
    numbers: dict[str, int] = {}
    validation_shingles, known = (
        [
            _runs(segment, decode, numbers)
            for segment in _sample_segments(tokens, length, max_segments)
        ]
        for tokens, max_segments in ((validation_sample, len(validation_sample)), (train, SAMPLE))
    )
    shingle_index = _look_for(
        train, decode, numbers, np.unique(np.concatenate([*validation_shingles, *known]))
    )
    near = [_stands(runs, shingle_index, times=1) for runs in validation_shingles]
    again = [_stands(runs, shingle_index, times=2) for runs in known]  # once it stands where it is
    validation_matches, sampled = ([f for f in some if f is not None] for some in (near, again))
    if min(len(validation_matches), len(sampled)) < MIN_SEGMENTS:
        return None
    covered = np.zeros(len(validation), dtype=np.bool_)
    covered[: len(near) * length] = np.repeat(np.array([f is True for f in near]), length)
    fraction, repeats = float(np.mean(validation_matches)), float(np.mean(sampled))
    spread = math.sqrt(
        _variance(fraction, len(validation_matches)) + _variance(repeats, len(sampled))
    )
    return FuzzyOverlap(covered, fraction, repeats, max(0.0, fraction - repeats - 1.96 * spread))


def _stands(runs: Hashes, shingle_index: _ShingleIndex, times: int) -> bool | None:
    """Return whether so many places of the training text hold `MIN_MATCH_FRACTION` of `runs`; None
    where too few runs are requested."""
    if len(runs) < MIN_SHINGLES:
        return None
    begins, numbers = shingle_index.of(runs)
    for _ in range(times):
        position = _together(begins, numbers, MIN_MATCH_FRACTION * len(runs))
        if position is None:
            return False
        apart = np.abs(begins - position) > SEGMENT_SIZE
        begins, numbers = begins[apart], numbers[apart]
    return True


def _together(begins: Positions, numbers: Positions, min_runs: float) -> int | None:
    """Return a place where `min_runs` different runs would have the passage begin, give or take
    `MAX_ALIGNMENT_DRIFT` words; None where there is none."""
    if len(np.unique(numbers)) < min_runs:
        return None
    inside: dict[int, int] = {}
    first = 0
    for last, number in enumerate(numbers.tolist()):
        inside[number] = inside.get(number, 0) + 1
        while begins[last] - begins[first] > MAX_ALIGNMENT_DRIFT:
            gone = int(numbers[first])
            inside[gone] -= 1
            if not inside[gone]:
                del inside[gone]
            first += 1
        if len(inside) >= min_runs:
            return int(begins[first])
    return None


def _variance(fraction: float, num_segments: int) -> float:
    """Of a fraction of so many; half a passage is added to each side: none and all are not
    certain."""
    p = (fraction * num_segments + 0.5) / (num_segments + 1)
    return p * (1 - p) / num_segments


def _tokens_per_segment(validation_sample: Tokens, decode: Decode) -> int | None:
    """As many tokens as `SEGMENT_SIZE` words take; None where too few passages are there."""
    sample = validation_sample[:CHUNK]
    said = len(normalize_words(decode(sample.tolist())))
    if said < MIN_SEGMENTS * SEGMENT_SIZE:
        return None
    return round(len(sample) * SEGMENT_SIZE / said)


def _sample_segments(tokens: Tokens, length: int, max_segments: int) -> Iterator[Tokens]:
    """Yield whole passages, all of them or `max_segments`, evenly spread."""
    there = len(tokens) // length
    for number in np.unique(np.linspace(0, there - 1, min(max_segments, there)).astype(np.int64)):
        yield tokens[number * length : (number + 1) * length]


def _runs(segment: Tokens, decode: Decode, numbers: dict[str, int]) -> Hashes:
    """Return hashes of the passage's runs; words met for the first time get the next number, from
    1."""
    said = normalize_words(decode(segment.tolist()))
    return hash_shingles([numbers.setdefault(word, len(numbers) + 1) for word in said])


def hash_shingles(ids: list[int]) -> Hashes:
    """Of the runs of words with these numbers."""
    if len(ids) < SHINGLE_SIZE:
        return np.zeros(0, dtype=np.uint64)
    return hash_windows(np.array(ids, dtype=np.int64), SHINGLE_SIZE)


def _look_for(
    train: Tokens, decode: Decode, numbers: dict[str, int], hashes: Hashes
) -> _ShingleIndex:
    """Return where each of the sorted `hashes` stands in the training text."""
    which, where, before = [], [], 0
    for first in range(0, len(train), CHUNK):
        said = normalize_words(decode(train[first : first + CHUNK].tolist()))
        there = hash_shingles([numbers.get(word, 0) for word in said])
        at = np.minimum(np.searchsorted(hashes, there), len(hashes) - 1)
        hit = np.flatnonzero(hashes[at] == there)
        which.append(at[hit])
        where.append(before + hit)
        before += len(said)
    hash_indices, positions = np.concatenate(which), np.concatenate(where).astype(np.int64)
    order = np.argsort(hash_indices, kind="stable")
    starts = np.searchsorted(hash_indices[order], np.arange(len(hashes) + 1))
    return _ShingleIndex(hashes, starts, positions[order])
