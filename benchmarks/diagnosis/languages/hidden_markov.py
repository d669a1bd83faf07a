"""Hidden Markov models: the exact loss of the very sample, by the forward algorithm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from languages.markov_chain import Floats, Ids, MarkovChain, stationary_distribution


@dataclass(frozen=True, slots=True, eq=False)
class HiddenMarkovModel:
    """A chain of hidden states, each of which shows a symbol."""

    start: Floats
    """Probability of the first hidden state, [S]."""
    transition: Floats
    """Probability of the next hidden state, [S, S]."""
    emission: Floats
    """Probability of the symbol shown, [S, V]."""


def random_hidden_markov_model(
    states: int, symbols: int, seed: int, concentration: float = 0.3, noise: float = 0.0
) -> HiddenMarkovModel:
    """A random model with Dirichlet rows; `noise`: fraction of symbols shown at random."""
    source = np.random.default_rng(seed)
    return HiddenMarkovModel(
        start=np.full(states, 1.0 / states),
        transition=source.dirichlet(np.full(states, concentration), size=states),
        emission=_noised(source.dirichlet(np.full(symbols, concentration), size=states), noise),
    )


def with_observation_noise(chain: MarkovChain, noise: float) -> HiddenMarkovModel:
    """A chain, of order 1 or more, each of whose symbols is misread with probability `noise`.

    Unlike the noise of `markov_chain`, this does not enter the context: what is seen is no
    Markov chain any more, yet its floor stays exact. The hidden state is the last k symbols.
    """
    rows, symbols = chain.table.shape
    states = np.arange(rows)
    transition = np.zeros((rows, rows))
    for x in range(symbols):
        transition[states, (states * symbols + x) % rows] += chain.table[:, x]
    emission = np.eye(symbols)[states % symbols]
    return HiddenMarkovModel(stationary_distribution(chain), transition, _noised(emission, noise))


def sample_hidden(model: HiddenMarkovModel, count: int, seed: int) -> Ids:
    """`count` symbols."""
    source = np.random.default_rng(seed)
    moves, shows = np.cumsum(model.transition, axis=1), np.cumsum(model.emission, axis=1)
    last, symbols = len(model.start) - 1, model.emission.shape[1]
    state = int(source.choice(last + 1, p=model.start))
    tokens = np.empty(count, dtype=np.int64)
    for i, (move, show) in enumerate(source.random((count, 2))):
        tokens[i] = min(int(np.searchsorted(shows[state], show, side="right")), symbols - 1)
        state = min(int(np.searchsorted(moves[state], move, side="right")), last)
    return tokens


def forward_nll(model: HiddenMarkovModel, tokens: Ids) -> Floats:
    """Exact surprisal (nats) of each symbol given all before it: no model can do better.

    The forward algorithm (Rabiner 1989), scaled at every step: with b the probability of
    each hidden state given the symbols so far, p(x) = sum_s b(s) E(s, x); then b is
    conditioned on x and moved on by the transition.
    """
    state_probabilities = model.start
    probabilities = np.empty(len(tokens))
    for i, x in enumerate(tokens):
        joint = state_probabilities * model.emission[:, x]
        probabilities[i] = joint.sum()
        state_probabilities = (joint / probabilities[i]) @ model.transition
    surprisal: Floats = -np.log(probabilities)
    return surprisal


def _noised(rows: Floats, noise: float) -> Floats:
    if not 0 <= noise <= 1:
        raise ValueError(f"noise: found {noise}, expected 0 to 1")
    noised: Floats = (1 - noise) * rows + noise / rows.shape[1]
    return noised
