"""What counting alone says of a text: is the held-out text another kind of text, how much of the
training text is there twice. Cost class: counting, seconds for a megabyte; needs no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from descend.text.baselines import ngram_probabilities
from descend.text.overlap import window_hashes

Tokens = npt.NDArray[np.integer[Any]]

ORDER = 2
"""Pairs of tokens: enough to tell kinds of text apart, few enough to count in little text."""
BLOCKS = 32
"""Parts that the compared texts are cut in, for the standard error of their difference."""
MOST = 5_000_000
"""Training tokens that repeats are looked for in: bounds memory to about 0.1 GB."""
PLACES = 8
"""Stretches of training text that are set aside, evenly spread, to stand for more of the same."""


@dataclass(frozen=True)
class Shift:
    """How much worse a counting model does on held-out text than on more of the same (nats)."""

    difference: float
    error: float
    """Its standard error, from the spread between blocks."""


def shift(train: Tokens, validation: Tokens, vocab_size: int) -> Shift:
    """Loss of a bigram model on `validation`, minus its loss on stretches of `train` that it did
    not count (nats a token).

    Near 0: both are the same kind of text. Above: the held-out text is another kind, and no
    setting of training can close that gap. Topics change within one text too: the stretches
    stand as far from what was counted as held-out text does only at their middles.
    """
    train = np.asarray(train)
    size = max(2, min(len(validation), len(train) // 5) // PLACES)
    starts = np.linspace(0, len(train) - size, PLACES).astype(np.int64)
    aside = np.zeros(len(train), dtype=np.bool_)
    for start in starts.tolist():
        aside[start : start + size] = True
    counted = train[~aside]
    same = -np.log(np.concatenate([
        ngram_probabilities(counted, train[s : s + size], vocab_size, ORDER)
        for s in starts.tolist()
    ]))  # fmt: skip
    other = -np.log(ngram_probabilities(counted, np.asarray(validation), vocab_size, ORDER))
    return Shift(float(other.mean() - same.mean()), float(np.hypot(_error(same), _error(other))))


def _error(losses: npt.NDArray[np.floating[Any]]) -> float:
    """Standard error of the mean of `losses`, from the means of blocks of neighbours."""
    means = [float(part.mean()) for part in np.array_split(losses, BLOCKS) if len(part)]
    return float(np.std(means, ddof=1) / np.sqrt(len(means))) if len(means) > 1 else float("inf")


def repeated_share(train: Tokens, length: int = 32) -> float:
    """Share of the runs of `length` tokens (a power of two) of `train` that stood there before
    (0 to 1).

    0 for a text without copies, 1/2 for one that is there twice. By a 64-bit hash: two different
    runs of a million are taken for equal with chance 3e-8. Counted on at most `MOST` tokens.
    """
    hashes = window_hashes(np.asarray(train[:MOST]), length)
    return 1.0 - len(np.unique(hashes)) / max(len(hashes), 1)


SHORTEST_RUN = 32
"""Tokens of a run that count as a copy in ordinary text."""
FEWEST_RUNS = 32
"""Such runs must fit into the text end to end, or their share means nothing."""


def telling_length(tokens: int, nats: float) -> int | None:
    """Tokens (a power of two) that a run must have in common with a text of `tokens` tokens to be
    a copy and no chance; None where no run is long enough to tell.

    A run of n tokens of a text of `nats` a token comes up by chance about `tokens` exp(-n `nats`)
    times; asked for is less than one in `tokens`. Text of few words says the same again and again
    without having been copied.
    """
    length = SHORTEST_RUN
    while length * nats < 2 * math.log(max(tokens, 2)):
        length *= 2
        if length * FEWEST_RUNS > tokens:
            return None
    return length
