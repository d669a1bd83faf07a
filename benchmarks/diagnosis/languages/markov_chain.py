"""Markov chains of order k over a small alphabet: entropy rate in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating[Any]]

STATIONARY_STEPS = 100_000
STATIONARY_TOLERANCE = 1e-14


@dataclass(frozen=True, slots=True, eq=False)
class MarkovChain:
    """The next symbol's probabilities, given the `order` symbols before."""

    order: int
    table: Floats
    """Row: the last `order` symbols as digits of a number, oldest first; column: the next."""

    @property
    def symbols(self) -> int:
        return int(self.table.shape[1])


def random_markov_chain(
    order: int, symbols: int, seed: int, concentration: float = 0.3, noise: float = 0.0
) -> MarkovChain:
    """A random chain: each row from a symmetric Dirichlet distribution.

    `concentration` low: few likely successors. `noise`, 0 to 1: fraction of symbols that are
    drawn uniformly instead; noisy symbols count as context, so the chain stays of order k.
    `ValueError` for more than 2^24 probabilities, or noise outside 0 to 1.
    """
    if order < 0 or symbols < 2 or symbols ** (order + 1) > 1 << 24:
        raise ValueError(f"order, symbols: found {order}, {symbols}, expected at most 2^24 cells")
    if not 0 <= noise <= 1:
        raise ValueError(f"noise: found {noise}, expected 0 to 1")
    source = np.random.default_rng(seed)
    rows = source.dirichlet(np.full(symbols, concentration), size=symbols**order)
    # A little noise always: a row of exact zeros could split the chain into parts.
    noise_fraction = max(noise, 1e-6)
    return MarkovChain(order, (1 - noise_fraction) * rows + noise_fraction / symbols)


def sample_chain(chain: MarkovChain, count: int, seed: int) -> Ids:
    """`count` symbols, begun in the stationary distribution."""
    source = np.random.default_rng(seed)
    steps = np.cumsum(chain.table, axis=1)
    state = int(source.choice(len(chain.table), p=stationary_distribution(chain)))
    rows, symbols = len(chain.table), chain.symbols
    tokens = np.empty(count, dtype=np.int64)
    for i, uniform in enumerate(source.random(count)):
        tokens[i] = min(int(np.searchsorted(steps[state], uniform, side="right")), symbols - 1)
        state = (state * symbols + int(tokens[i])) % rows
    return tokens


def stationary_distribution(chain: MarkovChain) -> Floats:
    """The long-run fraction of each context (row of the table), by repeated application."""
    rows, symbols = chain.table.shape
    probabilities: Floats = np.full(rows, 1.0 / rows)
    if chain.order == 0:
        return probabilities
    for _ in range(STATIONARY_STEPS):
        # (s1 .. sk, x) becomes (s2 .. sk, x): the oldest symbol is summed out.
        updated: Floats = (probabilities[:, None] * chain.table).reshape(symbols, rows).sum(axis=0)
        if np.abs(updated - probabilities).max() < STATIONARY_TOLERANCE:
            return updated
        probabilities = updated
    return probabilities


def markov_entropy_rate(chain: MarkovChain) -> float:
    """Nats per symbol: - sum over contexts s of pi(s) sum_x p(x|s) ln p(x|s)."""
    return float(stationary_distribution(chain) @ -(chain.table * np.log(chain.table)).sum(axis=1))


def markov_nll(chain: MarkovChain, tokens: Ids) -> Floats:
    """Exact surprisal (nats) of each symbol of `tokens[order:]`, given those before it."""
    context = np.zeros(len(tokens) - chain.order, dtype=np.int64)
    for back in range(chain.order, 0, -1):
        context = context * chain.symbols + tokens[chain.order - back : len(tokens) - back]
    surprisal: Floats = -np.log(chain.table[context, tokens[chain.order :]])
    return surprisal
