"""A part of a text that stands for all of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.unsignedinteger[Any]]

MAX_CHUNKS = 64
MIN_CHUNK_TOKENS = 512
"""Tokens: joints between pieces read unlike text, so there must be few of them."""


def subsample_tokens(tokens: Tokens, fraction: float) -> Tokens:
    """Return `share` (above 0, at most 1) of `tokens` in pieces spread evenly over them; two at
    least.

    A leading half would be a text of other subjects, and the further from the held-out end of a
    book the less like it: what it costs to train on that half would measure the distance.
    """
    num_tokens = max(2, round(fraction * len(tokens)))
    if num_tokens >= len(tokens):
        return tokens
    num_chunks = max(1, min(MAX_CHUNKS, num_tokens // MIN_CHUNK_TOKENS))
    if num_chunks == 1:
        return tokens[:num_tokens]
    ends = np.linspace(0, num_tokens, num_chunks + 1).round().astype(np.int64)
    gaps = np.linspace(0, len(tokens) - num_tokens, num_chunks).round().astype(np.int64)
    return np.concatenate([
        tokens[start + gap : end + gap]
        for start, end, gap in zip(ends[:-1], ends[1:], gaps, strict=True)
    ])  # fmt: skip
