"""The validation text that all models of an improvement are compared on, the same bytes for each.

A run is judged on its own: a sample of tokens where the text is large, all of it with its copies
else. Here every model is judged on the same bytes, whatever its tokenizer and context. Bytes that
stand in the training text too are left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from descend.data.contamination.exact_overlap import (
    find_exact_overlap,
    min_significant_match_length,
)
from descend.data.prepare import prepare_tokens
from descend.data.token_store import PreparedCorpus, TokenStore, encode_validation
from descend.data.tokenizer import Tokenizer
from descend.metrics.evaluation import iter_windows, score_batches
from descend.model.transformer import Transformer
from descend.trials.trial_evaluation import BATCH_TOKENS

MAX_BYTES = 2**17
"""Bytes to judge on; of a longer text so many in `NUM_SEGMENTS`, evenly spread."""

NUM_SEGMENTS = 16

NUM_PIECES = 32
"""Parts of the text whose bits per byte are kept: an interval rests on their differences."""

MIN_CONTAMINATED_FRACTION = 0.02
"""Fraction of copies from which they are left out: less is chance (`reference_ranges`)."""

MAX_CONTAMINATED_FRACTION = 0.9
"""Fraction of copies above which too little would be left to judge on."""

Bytes = NDArray[np.bool_]


class ModelScore(msgspec.Struct, frozen=True):
    """How well a model predicts the text."""

    bits_per_byte: float
    pieces: list[float]
    """Bits per byte of each piece that has bytes which count."""


@dataclass(frozen=True, eq=False)
class ValidationText:
    """The validation side of a corpus, and which of its bytes count."""

    corpus: PreparedCorpus
    counted: Bytes
    contaminated_fraction: float = 0.0
    """Fraction of bytes that stand in the training text too."""

    leaves_out_contamination: bool = False


def validation_text(corpus: PreparedCorpus) -> ValidationText:
    """Return the whole validation side of `corpus`."""
    return ValidationText(corpus, np.ones(corpus.split.validation_bytes, dtype=np.bool_))


def without_contamination(text: ValidationText, tokenizer: Tokenizer) -> ValidationText:
    """Return `text` without what is a copy of training text, found with the tokens of
    `tokenizer`."""
    store = prepare_tokens(text.corpus, tokenizer)
    covered = _contaminated_bytes(store, len(text.counted))
    fraction = float(covered.mean()) if covered.size else 0.0
    remaining = text.counted & ~covered
    within = MIN_CONTAMINATED_FRACTION <= fraction <= MAX_CONTAMINATED_FRACTION
    applied = bool(within and remaining.any())
    return ValidationText(text.corpus, remaining if applied else text.counted, fraction, applied)


def _contaminated_bytes(store: TokenStore, num_bytes: int) -> Bytes:
    covered = np.zeros(num_bytes, dtype=np.bool_)
    nats = store.info.ngram_baselines.best
    length = min_significant_match_length(len(store.train), nats, store.bytes_per_token)
    if length is None:
        return covered
    ends = np.cumsum(store.tokenizer.byte_lengths[store.validation])
    for first, last in find_exact_overlap(store.train, store.validation, length).spans():
        covered[int(ends[first - 1]) if first else 0 : int(ends[last - 1])] = True
    return covered


def score_network(
    network: Transformer, tokenizer: Tokenizer, text: ValidationText, context: int
) -> ModelScore:
    """Judge `network` on `text`, read in windows of `context` tokens."""
    tokens = encode_validation(text.corpus, tokenizer)
    nbytes = tokenizer.byte_lengths[tokens]
    ends = np.cumsum(nbytes)
    total = max(int(ends[-1]), 1)
    bits = np.zeros(NUM_PIECES)
    weights = np.zeros(NUM_PIECES)
    for first, last in _segments(ends):
        targets = slice(first + 1, last)
        windows = iter_windows(tokens[first:last], context, max(1, BATCH_TOKENS // context))
        scores = score_batches(network, windows, tokenizer.byte_lengths)
        losses = np.concatenate([score.losses for score in scores]) / math.log(2)
        position = np.clip(ends[targets] - 1, 0, len(text.counted) - 1)
        weight = text.counted[position].astype(np.float64)
        piece = np.minimum(position * NUM_PIECES // total, NUM_PIECES - 1)
        bits += np.bincount(piece, losses * weight, NUM_PIECES)
        weights += np.bincount(piece, nbytes[targets] * weight, NUM_PIECES)
    filled = weights > 0
    return ModelScore(
        float(bits.sum() / max(weights.sum(), 1.0)), (bits[filled] / weights[filled]).tolist()
    )


def _segments(ends: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return first token and one past the last of what is read; `ends`: the last byte of each
    token."""
    total = int(ends[-1])
    if total <= MAX_BYTES:
        return [(0, len(ends))]
    length = MAX_BYTES // NUM_SEGMENTS
    starts = np.linspace(0, total - length, NUM_SEGMENTS)
    first, last = np.searchsorted(ends, starts), np.searchsorted(ends, starts + length)
    return [(int(a), int(b) + 1) for a, b in zip(first, last, strict=True) if b > a]
