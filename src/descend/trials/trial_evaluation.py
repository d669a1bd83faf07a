"""How a trial is judged: on the same validation bytes, whatever its tokenizer and context.

Text longer than requested is sampled as `NUM_SEGMENTS` segments of equal length in bytes, evenly
spread; each is read in windows of `seq_len` side by side, as `metrics.evaluation` reads all of it.
"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from descend.data.token_store import TokenStore
from descend.machine import Execution
from descend.metrics.evaluation import bits_per_byte, iter_windows, score_batches
from descend.model.transformer import Transformer
from descend.training.precision import autocast_precision

NUM_SEGMENTS = 8
"""Few, so that a long context is rarely cut short; several, so that one chapter decides little."""

BYTES_PER_TOKEN = 4
"""What a token counts for, so that the bytes judged do not depend on the tokenizer: about what a
token of a vocabulary of 4096 stands for in English text."""

NUM_CHUNKS = 64
"""Parts whose mean losses are kept, for resampling over text."""

BATCH_TOKENS = 4096
"""Tokens of a batch that is judged at once."""

Tokens = NDArray[np.unsignedinteger]


class TrialEvaluation(msgspec.Struct, frozen=True):
    """Means over the predicted tokens; loss in nats, and the mean loss of each of the pieces."""

    loss: float
    accuracy: float
    bits_per_byte: float
    chunk_losses: list[float]


def evaluation_segments(store: TokenStore, evaluation_tokens: int) -> list[Tokens]:
    """Return what to judge on: the whole validation text, or `NUM_SEGMENTS` of it.

    In each, every token but the first is predicted.
    """
    max_bytes = evaluation_tokens * BYTES_PER_TOKEN
    byte_at = np.cumsum(store.tokenizer.byte_lengths[store.validation])
    total = int(byte_at[-1])
    if total <= max_bytes:
        return [store.validation]
    length = max_bytes // NUM_SEGMENTS
    starts = np.linspace(0, total - length, NUM_SEGMENTS)
    first = np.searchsorted(byte_at, starts)
    last = np.searchsorted(byte_at, starts + length)
    return [store.validation[a : b + 1] for a, b in zip(first, last, strict=True) if b > a]


def evaluate_trial(
    model: Transformer,
    execution: Execution,
    store: TokenStore,
    segments: list[Tokens],
    seq_len: int,
) -> TrialEvaluation:
    """Judge `model` on `segments`; its mode is left as it was found."""
    batch_size = max(1, BATCH_TOKENS // seq_len)
    windows = (w for segment in segments for w in iter_windows(segment, seq_len, batch_size))
    lengths = store.tokenizer.byte_lengths
    scores = list(score_batches(model, windows, lengths, lambda: autocast_precision(execution)))
    losses = np.concatenate([score.losses for score in scores])
    return TrialEvaluation(
        loss=float(losses.mean()),
        accuracy=sum(score.num_correct for score in scores) / len(losses),
        bits_per_byte=bits_per_byte(float(losses.sum()), sum(s.num_bytes for s in scores)),
        chunk_losses=[float(p.mean()) for p in np.array_split(losses, NUM_CHUNKS) if len(p)],
    )
