"""What counting alone says of a text: is the validation text another kind of text, how much of the
training text is there twice. Cost class: counting, seconds for a megabyte; needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from descend.data.contamination.exact_overlap import hash_windows
from descend.data.ngram_baselines import kneser_ney_loss

Tokens = npt.NDArray[np.integer[Any]]

ORDER = 2
"""Pairs of tokens: enough to tell kinds of text apart, few enough to count in little text."""
MAX_TOKENS = 5_000_000
"""Training tokens that repeats are looked for in: bounds memory to about 0.1 GB."""
NUM_SEGMENTS = 8
"""Segments of training text that are set aside in turn, evenly spread, each to stand for more of
the same. Of the validation text at most as many are compared with them."""
MIN_SEGMENT_TOKENS = 128
"""Tokens of a segment, half of which are counted and half judged: of fewer the loss is mostly
chance."""
MAX_COMPARED = 1_000_000
"""Training tokens that segments are taken from and counted on: about a second for each of them."""


def distribution_shift_nats(train: Tokens, validation: Tokens, vocab_size: int) -> float | None:
    """Return how much more foreign the validation text is on average to the training text than any
    segment of that is to the rest (nats a token); None where the text is too short for it.

    Foreign: what a bigram model loses on the second half of a segment by having counted the
    training text (without the segment) and not the segment's own first half. So text that is only
    harder or easier is not foreign, since it is that for its own kind too. Up to 0: the same kind
    of text. A book changes its subject from chapter to chapter, and program text its names from
    file to file: what is held out at the end may differ as much as the most different of them.
    Segments of all of the validation text are compared, since only a part of it may be foreign.
    """
    train = np.asarray(train[:MAX_COMPARED])
    size = min(len(validation), len(train) // (NUM_SEGMENTS + 1))
    if size < MIN_SEGMENT_TOKENS:
        return None
    same = []
    for start in _segment_starts(len(train), size, NUM_SEGMENTS):
        others = np.concatenate([train[:start], train[start + size :]])
        same.append(_excess_loss(others, [train[start : start + size]], vocab_size))
    starts = _segment_starts(len(validation), size, min(NUM_SEGMENTS, len(validation) // size))
    segments = [np.asarray(validation[start : start + size]) for start in starts]
    return _excess_loss(train, segments, vocab_size) - max(same)


def _segment_starts(length: int, size: int, count: int) -> list[int]:
    return [int(start) for start in np.linspace(0, length - size, count)]


def _excess_loss(train: Tokens, segments: Sequence[Tokens], vocab_size: int) -> float:
    """Return the mean over segments of one size; `train` is counted once for all of them."""
    halves = [np.array_split(segment, 2) for segment in segments]
    own_losses = [
        kneser_ney_loss(first_half, second_half, vocab_size, ORDER)
        for first_half, second_half in halves
    ]
    second_halves = np.concatenate([second_half for _, second_half in halves])
    train_loss = kneser_ney_loss(train, second_halves, vocab_size, ORDER)
    return train_loss - sum(own_losses) / len(own_losses)


def repeated_ngram_fraction(train: Tokens, length: int = 32) -> float:
    """Return the fraction of the runs of `length` tokens (a power of two) of `train` that stood
    there before (0 to 1).

    0 for a text without copies, 1/2 for one that is there twice. By a 64-bit hash: two different
    runs of a million are taken for equal with chance 3e-8. Counted on at most `MAX_TOKENS` tokens.
    """
    hashes = hash_windows(np.asarray(train[:MAX_TOKENS]), length)
    return 1.0 - len(np.unique(hashes)) / max(len(hashes), 1)
