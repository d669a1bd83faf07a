"""BPE-dropout: some merges of the training text are undone at random, others in each epoch.

The network then meets the same text in other tokens each time, so that more epochs teach something
new (Provilkov et al. 2020, "BPE-Dropout"). There the merges are left out while the text is encoded.
Here they are undone in the tokens that were stored: a token becomes the two that it was merged
from, and so do these. That needs no text, and the tokens of a step follow from the seed and the
number of the step alone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from descend.data.splitmix import mix_bits
from descend.data.tokenizer import Tokenizer

NOT_MERGED = -1
"""Instead of the parts of a token that no merge makes."""

_LEFT, _RIGHT = np.uint64(1), np.uint64(2)


@dataclass(frozen=True)
class BpeDropout:
    """With what probability a merge is undone, and into which tokens."""

    probability: float
    merge_parts: NDArray[np.int64]
    """(V, 2): the two tokens that each token was merged from, or `NOT_MERGED`."""

    def scale(self, factor: float) -> BpeDropout:
        """Return the same with `factor` times the probability."""
        return replace(self, probability=factor * self.probability)


def make_bpe_dropout(tokenizer: Tokenizer, probability: float | None) -> BpeDropout | None:
    """Return what undoes the merges of `tokenizer`; None for a probability of 0 or no merges."""
    if not probability:
        return None
    merge_parts = find_merge_parts(tokenizer)
    return BpeDropout(probability, merge_parts) if (merge_parts >= 0).any() else None


def find_merge_parts(tokenizer: Tokenizer) -> NDArray[np.int64]:
    """Return (V, 2): the ids that each token was merged from, `NOT_MERGED` for all others.

    If several merges make a token, the first counts: encoding comes to it first.
    """
    merge_parts = np.full((tokenizer.vocab_size, 2), NOT_MERGED, dtype=np.int64)
    model = json.loads(tokenizer.to_bytes())["model"]
    if model["type"] != "BPE":
        return merge_parts
    ids = model["vocab"]
    for merge in model["merges"]:
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        merged = ids[left + right]
        if merge_parts[merged, 0] == NOT_MERGED:
            merge_parts[merged] = ids[left], ids[right]
    return merge_parts


def undo_merges(
    rows: NDArray[np.int64], hashes: NDArray[np.uint64], dropout: BpeDropout
) -> NDArray[np.int64]:
    """Return `rows` (B, W) with merges undone at random, each cut to its first W tokens.

    `hashes` (B, W) are random bits, one number a token: all choices follow from them.
    """
    limit = np.uint64(min(dropout.probability * 2.0**64, 2.0**64 - 2**11))
    num_rows, width = rows.shape
    ids, bits = rows.ravel(), hashes.ravel()
    row_numbers = np.repeat(np.arange(num_rows), width)
    is_new = np.ones(len(ids), dtype=bool)
    while True:
        undone = is_new & (bits < limit) & (dropout.merge_parts[ids, 0] >= 0)
        if not undone.any():
            break
        counts = 1 + undone
        left = (np.cumsum(counts) - counts)[undone]
        parts, seeds = dropout.merge_parts[ids[undone]], bits[undone]
        ids, bits = np.repeat(ids, counts), np.repeat(bits, counts)
        row_numbers, is_new = np.repeat(row_numbers, counts), np.repeat(undone, counts)
        ids[left], ids[left + 1] = parts.T
        with np.errstate(over="ignore"):
            bits[left], bits[left + 1] = mix_bits(seeds + _LEFT), mix_bits(seeds + _RIGHT)
    starts = np.searchsorted(row_numbers, np.arange(num_rows))
    cut: NDArray[np.int64] = ids[starts[:, None] + np.arange(width)]
    return cut
