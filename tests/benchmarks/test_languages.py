"""The languages of the planted-fault benchmark: their entropy rates are exact."""

from __future__ import annotations

import itertools
import math
import statistics
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks" / "diagnosis"
MODULES = ("delayed_copy", "hidden_markov", "markov_chain", "zipf_lexicon")


@pytest.fixture(scope="module")
def languages() -> Iterator[SimpleNamespace]:
    """All that the modules of the package define."""
    sys.path.insert(0, str(FOLDER))
    try:
        names: dict[str, object] = {}
        for module in MODULES:
            names |= vars(import_module(f"languages.{module}"))
        yield SimpleNamespace(**names)
    finally:
        sys.path.remove(str(FOLDER))
        for name in ("languages", *(f"languages.{module}" for module in MODULES)):
            sys.modules.pop(name, None)


def test_markov_chain_entropy_matches_hand_calculation(languages: SimpleNamespace) -> None:
    chain = languages.MarkovChain(1, np.array([[0.9, 0.1], [0.5, 0.5]]))  # stationary: 5/6, 1/6
    rows = [-0.9 * math.log(0.9) - 0.1 * math.log(0.1), math.log(2)]
    assert languages.markov_entropy_rate(chain) == pytest.approx(5 / 6 * rows[0] + 1 / 6 * rows[1])
    assert languages.markov_nll(chain, np.array([0, 1, 1])) == pytest.approx(
        [-math.log(0.1), math.log(2)]
    )


@pytest.mark.parametrize("order", [0, 1, 3])
def test_sampled_chain_surprisal_converges_to_entropy_rate(
    languages: SimpleNamespace, order: int
) -> None:
    chain = languages.random_markov_chain(order, 5, seed=order, noise=0.1)
    nll = languages.markov_nll(chain, languages.sample_chain(chain, 40_000, seed=1))
    assert nll.mean() == pytest.approx(languages.markov_entropy_rate(chain), abs=0.03)


def test_markov_chain_entropy_increases_with_noise(languages: SimpleNamespace) -> None:
    rates = [
        languages.markov_entropy_rate(languages.random_markov_chain(2, 6, 0, noise=r))
        for r in (0, 0.1, 0.5, 1)
    ]
    assert rates == sorted(rates)
    assert rates[-1] == pytest.approx(math.log(6))
    with pytest.raises(ValueError, match="expected 0 to 1"):
        languages.random_markov_chain(1, 2, 0, noise=1.5)
    with pytest.raises(ValueError, match="2\\^24 cells"):
        languages.random_markov_chain(9, 30, 0)


def test_forward_algorithm_equals_sum_over_hidden_paths(languages: SimpleNamespace) -> None:
    model = languages.random_hidden_markov_model(3, 4, seed=5, noise=0.2)
    tokens = languages.sample_hidden(model, 6, seed=6)
    total = 0.0
    for path in itertools.product(range(3), repeat=6):
        p = model.start[path[0]]
        for here, after in itertools.pairwise(path):
            p *= model.transition[here, after]
        total += p * math.prod(model.emission[s, x] for s, x in zip(path, tokens, strict=True))
    assert languages.forward_nll(model, tokens).sum() == pytest.approx(-math.log(total))


def test_hidden_markov_without_noise_equals_markov_chain(languages: SimpleNamespace) -> None:
    chain = languages.random_markov_chain(2, 3, seed=1)
    tokens = languages.sample_chain(chain, 500, seed=2)
    assert languages.forward_nll(languages.with_observation_noise(chain, 0), tokens)[
        2:
    ] == pytest.approx(languages.markov_nll(chain, tokens))
    noisy = languages.with_observation_noise(chain, 0.3)
    observations = languages.sample_hidden(noisy, 5000, seed=3)
    assert (
        languages.forward_nll(noisy, observations).mean()
        > languages.markov_entropy_rate(chain) + 0.1
    )


def test_delayed_copy_is_predictable_only_at_the_distance(languages: SimpleNamespace) -> None:
    language = languages.DelayedCopy(distance=12, symbols=8, noise=0.2)
    tokens = languages.sample_delayed_copy(language, 50_000, seed=0)
    nll = languages.delayed_copy_nll(language, tokens)
    assert nll[12:].mean() == pytest.approx(languages.recall_entropy_rate(language), abs=0.02)
    assert nll[:12] == pytest.approx([languages.short_context_entropy_rate(language)] * 12)
    recall_probability = 0.8 + 0.2 / 8
    for distance in (1, 5, 11, 12, 13):
        same = float((tokens[distance:] == tokens[:-distance]).mean())
        assert same == pytest.approx(recall_probability if distance == 12 else 1 / 8, abs=0.02)


def test_lexicon_length_and_entropy_match_sampled_text(languages: SimpleNamespace) -> None:
    lexicon = languages.make_zipf_lexicon(300, 6, seed=0, exponent=1.1, noise=0.05)
    assert len(set(lexicon.stems)) == 300
    assert len({s + e for s in lexicon.stems for e in lexicon.endings}) == 1800
    chance = {
        stem + ending: p * q
        for stem, p in zip(lexicon.stems, lexicon.stem_probabilities, strict=True)
        for ending, q in zip(lexicon.endings, lexicon.ending_probabilities, strict=True)
    }
    assert math.fsum(chance.values()) == pytest.approx(1)
    text = languages.sample_lexicon(lexicon, 20_000, seed=1)
    rate = languages.lexicon_entropy(lexicon)
    assert len(text) / 20_000 == pytest.approx(rate.bytes_per_document, rel=0.01)
    surprisal = statistics.mean(-math.log(chance[word]) for word in text.split())
    assert surprisal == pytest.approx(rate.nats_per_document, rel=0.02)
