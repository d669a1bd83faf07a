"""The n-gram baselines against a slow count in dictionaries, and its laws."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from descend.data import ngram_baselines
from descend.data.ngram_baselines import (
    compute_ngram_baselines,
    kneser_ney_loss,
    ngram_probabilities,
)
from descend.errors import CorpusError, TokenizerError

VOCAB = 5
TOKENS = st.lists(st.integers(0, VOCAB - 1), max_size=60)
SCORED = st.lists(st.integers(0, VOCAB - 1), min_size=2, max_size=8)


def slow_kneser_ney(train: list[int], validation: list[int], vocab: int, order: int) -> list[float]:
    """The formula of `ngram_probabilities`, read off word for word."""
    order = min(order, len(train))
    tables = []
    for n in range(1, order + 1):
        if n == order:
            grams = [tuple(train[i : i + n]) for i in range(len(train) - n + 1)]
            tables.append(Counter(grams))
        else:
            longer = {tuple(train[i : i + n + 1]) for i in range(len(train) - n)}
            tables.append(Counter(gram[1:] for gram in longer))

    def probability(word: int, context: tuple[int, ...]) -> float:
        if not tables:
            return 1 / vocab
        below = probability(word, context[1:]) if context else 1 / vocab
        counts = tables[len(context)]
        once = sum(c == 1 for c in counts.values())
        twice = sum(c == 2 for c in counts.values())
        discount = min(once / (once + 2 * twice), 0.95) if once else 0.1
        here = [counts[(*context, w)] for w in range(vocab)]
        if not sum(here):
            return below
        rest = discount * sum(c > 0 for c in here) / sum(here)
        return max(counts[(*context, word)] - discount, 0) / sum(here) + rest * below

    return [
        probability(validation[i], tuple(validation[max(0, i - order + 1) : i]))
        for i in range(1, len(validation))
    ]


@given(TOKENS, SCORED, st.integers(1, 5))
def test_kneser_ney_equals_the_formula(train: list[int], scored: list[int], order: int) -> None:
    fast = ngram_probabilities(np.array(train, int), np.array(scored), VOCAB, order)
    assert fast == pytest.approx(slow_kneser_ney(train, scored, VOCAB, order), rel=1e-12)


@given(TOKENS, st.lists(st.integers(0, VOCAB - 1), min_size=1, max_size=6), st.integers(1, 5))
def test_ngram_probabilities_sum_to_one(train: list[int], context: list[int], order: int) -> None:
    every = [
        ngram_probabilities(np.array(train, int), np.array([*context, w]), VOCAB, order)[-1]
        for w in range(VOCAB)
    ]
    assert min(every) > 0
    assert sum(every) == pytest.approx(1, rel=1e-12)


@given(TOKENS, SCORED)
def test_ngram_baselines_are_finite_for_any_text(train: list[int], scored: list[int]) -> None:
    baselines = compute_ngram_baselines(
        np.array(train, np.uint16), np.array(scored, np.uint16), VOCAB
    )
    assert baselines.uniform == math.log(VOCAB)
    for loss in (baselines.unigram, baselines.bigram, baselines.trigram):
        assert 0 < loss < 50


def test_unigram_baseline_does_not_score_first_token() -> None:
    baselines = compute_ngram_baselines(np.array([0, 0, 0, 1]), np.array([2, 0, 1]), 3)
    assert baselines.unigram == pytest.approx(-(math.log(3.5 / 5.5) + math.log(1.5 / 5.5)) / 2)


def test_ngram_baseline_matches_entropy_of_markov_order() -> None:
    # Order 2: the next symbol is, nine times in ten, the sum of the two before, modulo 7.
    source = np.random.default_rng(0)
    chain = [0, 1]
    for _ in range(60_000):
        is_determined = source.random() < 0.9
        chain.append((chain[-1] + chain[-2]) % 7 if is_determined else int(source.integers(7)))
    tokens = np.array(chain)
    likely = 0.9 + 0.1 / 7
    entropy = -likely * math.log(likely) - 6 * (0.1 / 7) * math.log(0.1 / 7)
    baselines = compute_ngram_baselines(tokens[:50_000], tokens[50_000:], 7)
    assert baselines.unigram == pytest.approx(math.log(7), abs=0.01)
    assert baselines.bigram == pytest.approx(math.log(7), abs=0.02)
    assert baselines.trigram == pytest.approx(entropy, abs=0.03)
    assert kneser_ney_loss(tokens[:50_000], tokens[50_000:], 7, 3) == baselines.trigram


def test_vocabularies_of_millions_and_unseen_tokens_stay_finite() -> None:
    baselines = compute_ngram_baselines(
        np.array([1, 2, 999_999, 1, 2]), np.array([5, 999_998, 2]), 1_000_000
    )
    assert all(math.isfinite(x) for x in (baselines.unigram, baselines.bigram, baselines.trigram))
    assert math.isfinite(kneser_ney_loss(np.arange(1000), np.arange(500, 900), 2**31, 5))


def test_ngram_baselines_reject_short_validation_and_unknown_tokens() -> None:
    with pytest.raises(CorpusError, match="expected at least 2, but found 1 tokens"):
        compute_ngram_baselines(np.array([0, 1]), np.array([0]), 2)
    with pytest.raises(
        TokenizerError, match="expected 0 to 1, the vocabulary, but found tokens 0 to 2"
    ):
        compute_ngram_baselines(np.array([0, 1, 2]), np.array([0, 1]), 2)
    with pytest.raises(ValueError, match="expected 1 to 5"):
        kneser_ney_loss(np.array([0, 1]), np.array([0, 1]), 2, 6)


def test_reference_kneser_ney_matches_hand_calculation() -> None:
    # Bigrams: 01 twice, 10 twice, 02 once: D = 1 / (1 + 2 * 2) = 0.2. Below: 0, 1 and 2 each
    # follow one token: D = 0.95, p(1) = 0.05 / 3 + 0.95 * 3 / 3 / 3 = 1 / 3.
    expected = (2 - 0.2) / 3 + 0.2 * 2 / 3 * (1 / 3)
    assert slow_kneser_ney([0, 1, 0, 1, 0, 2], [0, 1], 3, 2) == pytest.approx([expected])


def test_ngram_baselines_limit_validation_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ngram_baselines, "MAX_VALIDATION_TOKENS", 50)
    tokens = np.random.default_rng(0).integers(0, 7, 500)
    whole = compute_ngram_baselines(
        tokens, np.concatenate([tokens[:50], np.zeros(400, np.int64)]), 7
    )
    assert whole == compute_ngram_baselines(tokens, tokens[:50], 7)


@given(st.lists(st.integers(0, VOCAB - 1), min_size=1, max_size=60), SCORED)
def test_baseline_accuracies_are_those_of_a_slow_count(
    train: list[int], validation: list[int]
) -> None:
    counts = Counter(train)
    pairs = Counter(itertools.pairwise(train))
    baselines = compute_ngram_baselines(np.array(train), np.array(validation), VOCAB)
    # Where several are equally common, any of them may be guessed.
    best = [token for token in counts if counts[token] == max(counts.values())]
    possible = {sum(t == guess for t in validation[1:]) / len(validation[1:]) for guess in best}
    assert any(baselines.unigram_accuracy == pytest.approx(value) for value in possible)
    low = high = 0
    for before, token in itertools.pairwise(validation):
        followers = {t: n for (first, t), n in pairs.items() if first == before}
        likeliest = [t for t, n in followers.items() if n == max(followers.values())] or best
        low, high = low + (likeliest == [token]), high + (token in likeliest)
    total = len(validation[1:])
    assert low / total - 1e-9 <= (baselines.bigram_accuracy or 0.0) <= high / total + 1e-9
