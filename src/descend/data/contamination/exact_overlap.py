"""How much of the validation text stands word for word in the training text."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from descend.data.splitmix import mix_bits

Tokens = npt.NDArray[np.integer[Any]]
Hashes = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]

CHUNK = 1 << 18
"""Training tokens hashed at a time: the arrays of a chunk (2 MB each) stay in the cache."""

BLOCK = 1 << 23
"""Validation tokens looked for in one pass over training: bounds memory to about 300 MB."""


COMPARED = 1 << 21
"""Tokens compared one by one at a time: some 60 MB, however long the windows are."""

MAX_CHECKED_TOKENS = 1 << 20
"""Validation tokens from which `exact_overlap_fraction` samples: memory stays below 100 MB and
training is read once, and a share is known to a tenth of a percent."""

NUM_SAMPLE_SEGMENTS = 256
"""Places from which that sample comes, evenly spread, so that it is of many documents."""


MIN_MATCH_TOKENS = 32
"""Tokens of a run that count as a copy in ordinary text."""
MIN_COPY_BYTES = 160
"""Bytes of it: a phrase of 32 letters recurs in program text without having been copied. Lee et al.
2021 ask for 50 tokens of GPT-2, about 200 bytes; lengths here are powers of two."""
MIN_RUNS = 32
"""Such runs must fit into the text end to end, or their share means nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class ExactOverlap:
    """The validation tokens that lie in a run of `length` tokens also found in training."""

    length: int
    """Tokens of the shortest run that counts."""
    covered: Mask
    """For each validation token, whether it lies in such a run."""

    @property
    def fraction(self) -> float:
        """Fraction of validation tokens covered, 0 to 1; 0 where there are none."""
        return float(self.covered.mean()) if self.covered.size else 0.0

    def spans(self, max_spans: int | None = None) -> list[tuple[int, int]]:
        """Return the covered segments as (first token, one past the last), longest first."""
        edges = np.flatnonzero(np.diff(np.concatenate(([False], self.covered, [False]))))
        token_spans = [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
        return sorted(token_spans, key=lambda span: (span[0] - span[1], span[0]))[:max_spans]


def find_exact_overlap(train: Tokens, validation: Tokens, length: int = 32) -> ExactOverlap:
    """Return which validation tokens lie in a run of `length` tokens that also occurs in training.

    Windows are found by a 64-bit hash and then compared token by token, so a run is never
    claimed that is not there. (Only two different validation windows of equal hash could
    mislead: chance n^2 / 2^65 for n validation tokens, 3e-8 for a million.) `train` may be
    memory-mapped: it is read in chunks, once for every `BLOCK` validation tokens.

    `length` is a power of two below 2^31; `ValueError` otherwise.
    """
    if not 1 <= length < 2**31 or length & (length - 1):
        raise ValueError(f"length: found {length}, expected a power of two below {2**31}")
    # `length` open windows at most.
    counter: type[np.signedinteger[Any]] = np.int16 if length < 2**15 else np.int32
    starts: npt.NDArray[np.signedinteger[Any]] = np.zeros(len(validation) + 1, dtype=counter)
    for first in range(0, len(validation) - length + 1, BLOCK):
        matches = _find_windows(train, validation[first : first + BLOCK + length - 1], length)
        positions = first + np.flatnonzero(matches)
        starts[positions] += 1  # the change of the number of open windows at each token
        starts[positions + length] -= 1
    return ExactOverlap(length, np.cumsum(starts[:-1], dtype=counter) > 0)


def exact_overlap_fraction(
    train: Tokens, validation: Tokens, nats: float, bytes_per_token: float
) -> float:
    """Return the fraction of validation tokens that are copies of training text, of any
    `min_significant_match_length`.

    `nats` per token of the text, as counting finds them. Of more than `MAX_CHECKED_TOKENS`
    validation tokens, that of a sample; 0 where no length tells.
    """
    length = min_significant_match_length(len(train), nats, bytes_per_token)
    if length is None:
        return 0.0
    if len(validation) > MAX_CHECKED_TOKENS:
        each = MAX_CHECKED_TOKENS // NUM_SAMPLE_SEGMENTS
        positions = np.linspace(0, len(validation) - each, NUM_SAMPLE_SEGMENTS).astype(np.int64)
        validation = np.concatenate(
            [validation[position : position + each] for position in positions]
        )
    return find_exact_overlap(train, validation, length).fraction


def min_significant_match_length(tokens: int, nats: float, bytes_per_token: float) -> int | None:
    """Return tokens (a power of two) that a run must have in common with a text of `tokens` tokens
    to be a copy and no chance; None where no run is long enough to tell.

    A run of n tokens of a text of `nats` a token comes up by chance about `tokens` exp(-n `nats`)
    times; required is less than one in `tokens`. Text of few words says the same again and again
    without having been copied.
    """
    length = MIN_MATCH_TOKENS
    while length * nats < 2 * math.log(max(tokens, 2)) or length * bytes_per_token < MIN_COPY_BYTES:
        length *= 2
        if length * MIN_RUNS > tokens:
            return None
    return length


def _find_windows(train: Tokens, validation: Tokens, length: int) -> Mask:
    """For each window of the validation tokens, whether training holds the same window."""
    query_hashes, example, kind = np.unique(
        hash_windows(validation, length), return_index=True, return_inverse=True
    )
    is_match = np.zeros(len(query_hashes), dtype=np.bool_)
    # A table of one byte for each value of the hash's leading bits, eight times as many as
    # are needed, turns seven in eight windows away before the slow search in a sorted array.
    bits = max(10, int(len(query_hashes) * 8).bit_length())
    shift = np.uint64(64 - bits)
    maybe = np.zeros(1 << bits, dtype=np.bool_)
    maybe[query_hashes >> shift] = True
    inside = np.arange(length)
    for first in range(0, len(train) - length + 1, CHUNK):
        chunk = np.asarray(train[first : first + CHUNK + length - 1])
        hashes = hash_windows(chunk, length)
        at = np.flatnonzero(maybe[hashes >> shift])
        which = np.minimum(np.searchsorted(query_hashes, hashes[at]), len(query_hashes) - 1)
        fresh = (query_hashes[which] == hashes[at]) & ~is_match[which]
        which, once = np.unique(which[fresh], return_index=True)
        at = at[fresh][once]
        rows = max(1, COMPARED // length)
        for some in range(0, len(at), rows):
            here, there = at[some : some + rows], example[which[some : some + rows]]
            same = chunk[here[:, None] + inside] == validation[there[:, None] + inside]
            is_match[which[some : some + rows][same.all(axis=1)]] = True
    return is_match[kind.reshape(-1)]


def hash_windows(tokens: Tokens, length: int) -> Hashes:
    """Return a 64-bit hash of each window of `length` (a power of two) tokens.

    By doubling: the hash of 2m tokens mixes those of its two halves, log2(length) passes. A
    mixer, not the usual polynomial modulo 2^64, on which regular texts (Thue-Morse) collide.
    """
    hashes = mix_bits(tokens.astype(np.uint64) + np.uint64(1))
    half = 1
    while half < length:
        left, right = hashes[:-half], hashes[half:]
        hashes = mix_bits(left * np.uint64(0x9E3779B97F4A7C15) + right)
        half *= 2
    return hashes
