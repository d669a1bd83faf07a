"""Recall at a distance: a language that rewards a context of exactly d symbols."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from languages.markov_chain import Floats, Ids


@dataclass(frozen=True, slots=True)
class DelayedCopy:
    """Each symbol repeats the one `distance` back, or, with chance `noise`, is random."""

    distance: int
    symbols: int
    noise: float


def sample_delayed_copy(language: DelayedCopy, count: int, seed: int) -> Ids:
    """`count` symbols; the first `distance` are random."""
    source = np.random.default_rng(seed)
    d = language.distance
    fresh = source.integers(0, language.symbols, count)
    renewed = source.random(count) < language.noise
    renewed[:d] = True
    # Each symbol is the last renewed one at the same place modulo d.
    positions = np.where(renewed, np.arange(count), -1)
    padded = np.concatenate((positions, np.full(-count % d, -1))).reshape(-1, d)
    origin = np.maximum.accumulate(padded, axis=0).reshape(-1)[:count]
    return fresh[origin]


def recall_entropy_rate(language: DelayedCopy) -> float:
    """Nats per symbol for a reader who sees d symbols back.

    The symbol d back has probability 1 - r + r / V, each other r / V. A reader who sees
    fewer knows nothing: ln V (`short_context_entropy_rate`).
    """
    other = language.noise / language.symbols
    same = 1 - language.noise + other
    rest = -(language.symbols - 1) * other * math.log(other) if other else 0.0
    return rest - same * math.log(same)


def short_context_entropy_rate(language: DelayedCopy) -> float:
    """Nats per symbol for a reader who sees fewer than d symbols back: ln V."""
    return math.log(language.symbols)


def delayed_copy_nll(language: DelayedCopy, tokens: Ids) -> Floats:
    """Exact surprisal (nats) of each symbol; the first `distance` cost ln V."""
    d = language.distance
    other = language.noise / language.symbols
    probabilities = np.full(len(tokens), 1.0 / language.symbols)
    probabilities[d:] = other + (1 - language.noise) * (tokens[d:] == tokens[:-d])
    with np.errstate(divide="ignore"):  # without noise a symbol that differs is impossible
        surprisal: Floats = -np.log(probabilities)
    return surprisal
