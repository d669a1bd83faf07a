"""A part of a text that stands for all of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.unsignedinteger[Any]]

MOST_PIECES = 64
SHORTEST_PIECE = 512
"""Tokens: joints between pieces read unlike text, so there must be few of them."""


def subsample_tokens(tokens: Tokens, share: float) -> Tokens:
    """`share` (above 0, at most 1) of `tokens` in pieces spread evenly over them; two at least.

    A leading half would be a text of other subjects, and the further from the held-out end of a
    book the less like it: what it costs to train on that half would measure the distance.
    """
    wanted = max(2, round(share * len(tokens)))
    if wanted >= len(tokens):
        return tokens
    pieces = max(1, min(MOST_PIECES, wanted // SHORTEST_PIECE))
    if pieces == 1:
        return tokens[:wanted]
    ends = np.linspace(0, wanted, pieces + 1).round().astype(np.int64)
    left_out = np.linspace(0, len(tokens) - wanted, pieces).round().astype(np.int64)
    return np.concatenate([
        tokens[start + gap : end + gap]
        for start, end, gap in zip(ends[:-1], ends[1:], left_out, strict=True)
    ])  # fmt: skip
