"""How much a token tells of one further on, by the distance between them: what any model could
gain from its context, before there is a model. Cost class: counting, under a second; needs no
torch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Tokens = npt.NDArray[np.integer[Any]]

MAX_SYMBOLS = 64
PAIRS_TO_A_CELL = 25
"""Kinds of tokens distinguished: the most frequent ones, and the rest together; so many that pairs
of kinds come up so often on average, or chance alone would seem to tell something. What is reported
is a lower bound."""
MAX_TOKENS = 500_000
"""Tokens looked at, from the beginning."""


def mutual_information(tokens: Tokens, distances: list[int]) -> npt.NDArray[np.float64]:
    """Mutual information of two tokens at each of `distances` (nats), at least 0.

    0: the one says nothing of the other. A text whose tokens tell nothing at any distance has
    nothing to learn but how frequent they are. The bias of counting is taken off to first order
    (Miller 1955, "Note on the bias of information estimates").
    """
    tokens = np.asarray(tokens[:MAX_TOKENS])
    max_kinds = max(2, min(MAX_SYMBOLS, math.isqrt(len(tokens) // PAIRS_TO_A_CELL)))
    kinds = _kinds(tokens, max_kinds)
    return np.array([_information(kinds[:-d], kinds[d:], max_kinds) for d in distances])


def _kinds(tokens: Tokens, max_kinds: int) -> npt.NDArray[np.int64]:
    """Return `tokens` by rank of their frequency, all from the last of `max_kinds` on as one."""
    symbols, inverse, uses = np.unique(tokens, return_inverse=True, return_counts=True)
    ranks = np.empty(len(symbols), np.int64)
    ranks[np.argsort(-uses, kind="stable")] = np.arange(len(symbols))
    return np.minimum(ranks[inverse], max_kinds - 1)


def _information(first: npt.NDArray[np.int64], second: npt.NDArray[np.int64], kinds: int) -> float:
    if len(first) == 0:
        return 0.0
    pairs = np.bincount(first * kinds + second, minlength=kinds**2).reshape(kinds, kinds)
    cells, rows, columns = pairs[pairs > 0], pairs.sum(1), pairs.sum(0)
    bias = (len(cells) - (rows > 0).sum() - (columns > 0).sum() + 1) / (2 * len(first))
    information = _entropy(rows) + _entropy(columns) - _entropy(cells)
    return max(0.0, float(information - bias))


def _entropy(counts: npt.NDArray[np.int64]) -> float:
    probabilities = counts[counts > 0] / counts.sum()
    return float(-(probabilities * np.log(probabilities)).sum())
