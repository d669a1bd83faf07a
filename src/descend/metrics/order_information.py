"""What the order of a text tells, counted in words and in bytes: nothing, if the text is noise.

It depends on no vocabulary. Tokens of random words can be predicted from each other where a word
has several of them, though the text has nothing to learn but its words. Cost class: counting, under
a second; needs no torch.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from descend.metrics.mutual_information import mutual_information

MAX_BYTES = 1_000_000
"""Of the text, from its beginning."""
BYTE_DISTANCES, WORD_DISTANCES = tuple(range(1, 33)), tuple(range(1, 9))
MIN_WORDS = 2_000
MIN_USES = 2.0
"""Mean uses of a word under which words are no units: a text without spaces has pieces, each of
which comes once. English has 3.6 in 100 kB."""


class OrderInformation(NamedTuple):
    """Of the units, words or bytes, that tell the least of each other."""

    nats: float
    """That a unit tells of one further on, at the most telling distance."""
    floor_bits_per_byte: float
    """Of a model that knows how frequent each unit is, and nothing else."""


def measure_order(text: bytes) -> OrderInformation | None:
    """Return what the order of `text` tells, or None of an empty text."""
    text = text[:MAX_BYTES]
    if len(text) < 2:
        return None
    measured = [_information(np.frombuffer(text, np.uint8), BYTE_DISTANCES, len(text))]
    words = text.split()
    ids: dict[bytes, int] = {}
    numbers = np.array([ids.setdefault(word, len(ids)) for word in words], np.int64)
    if len(words) >= max(MIN_WORDS, MIN_USES * len(ids)):
        measured.append(_information(numbers, WORD_DISTANCES, len(text)))
    return min(measured)


def _information(
    units: npt.NDArray[np.integer], distances: tuple[int, ...], num_bytes: int
) -> OrderInformation:
    nats = float(mutual_information(units, [d for d in distances if d < len(units)]).max())
    uses = np.unique(units, return_counts=True)[1]
    fractions = uses / len(units)
    # Counting makes an entropy too small (Miller 1955); to first order so much.
    entropy = float(-(fractions * np.log2(fractions)).sum())
    entropy += (len(uses) - 1) / (2 * len(units) * math.log(2))
    return OrderInformation(nats, entropy * len(units) / num_bytes)
