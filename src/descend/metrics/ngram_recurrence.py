"""How far back the same few tokens stood before: what a longer context would let a model copy.

Cost class: counting, under a second for a megabyte; needs no torch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from descend.data.contamination.exact_overlap import hash_windows

Tokens = npt.NDArray[np.integer[Any]]

NGRAM_LENGTH = 4
"""Tokens in a row that count as the same: fewer recur by chance, more are copies already
(`overlap`). A power of two, as `window_hashes` asks for."""
MAX_TOKENS = 2_000_000
"""Tokens looked at, from the beginning: bounds memory to about 0.1 GB."""


def recurrence_distances(tokens: Tokens) -> npt.NDArray[np.int64]:
    """For each run of `RUN` tokens how many tokens before it last began; 0 where it is new.

    What a model that sees that far can do with it: find the last place and say what came there
    (induction, Olsson et al. 2022, "In-context Learning and Induction Heads").
    """
    tokens = np.asarray(tokens[:MAX_TOKENS])
    distances = np.zeros(max(0, len(tokens) - NGRAM_LENGTH + 1), np.int64)
    if len(distances) < 2:
        return distances
    hashes = hash_windows(tokens, NGRAM_LENGTH)
    order = np.argsort(hashes, kind="stable")  # equal ones stay in the order of the text
    again = hashes[order[1:]] == hashes[order[:-1]]
    distances[order[1:][again]] = (order[1:] - order[:-1])[again]
    return distances


def recurring_ngram_fraction(distances: npt.NDArray[np.int64], above: int, up_to: int) -> float:
    """Share of the runs (0 to 1) that last began more than `above` and at most `up_to` before."""
    if not len(distances):
        return 0.0
    return float(((distances > above) & (distances <= up_to)).mean())
