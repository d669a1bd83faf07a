"""Repeats and shift on texts made with a known fraction of each."""

from __future__ import annotations

import math

import numpy as np
import pytest

from descend.metrics.corpus_distribution import distribution_shift_nats, repeated_ngram_fraction


def words(seed: int, count: int, low: int = 0, high: int = 50) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, high, count).astype(np.uint16)


def test_duplicate_fraction_matches_number_of_duplicates() -> None:
    text = words(1, 5000)
    assert repeated_ngram_fraction(text) == 0.0
    assert repeated_ngram_fraction(np.tile(text, 4)) == pytest.approx(0.75, abs=0.01)


def test_more_of_the_same_text_is_no_shift() -> None:
    shift_nats = distribution_shift_nats(words(1, 20_000), words(2, 4_000), 100)
    assert shift_nats is not None
    assert shift_nats < 0.1


def test_distribution_shift_is_small_for_next_chapter() -> None:
    # Each chapter has words of its own beside those of all: what is held out is as new as each.
    def chapter(n: int) -> np.ndarray:
        own = words(n, 400, 50 + 5 * n, 55 + 5 * n)
        return np.where(words(100 + n, 400, 0, 3) == 0, own, words(200 + n, 400))

    book = np.concatenate([chapter(n) for n in range(32)])
    validation_tokens = np.concatenate([chapter(n) for n in range(32, 36)])
    shift_nats = distribution_shift_nats(book, validation_tokens, 250)
    assert shift_nats is not None
    assert shift_nats < 0.1
    assert distribution_shift_nats(book[:500], book[:30], 250) is None


def test_text_of_another_vocabulary_is_a_shift() -> None:
    # Known: half the validation tokens never stand in training; the rest are as there.
    train, other = words(1, 20_000), words(2, 4_000, 25, 75)
    shift_nats = distribution_shift_nats(train, other, 100)
    assert shift_nats is not None
    assert shift_nats > math.log(2)


def test_distribution_shift_detects_narrower_token_range() -> None:
    # Training text of 7 equal letters; the validation text has 4. To the training text it is
    # as hard as any, but far easier by its own measure: ln 7 against ln 4.
    shift_nats = distribution_shift_nats(words(1, 20_000, 0, 7), words(2, 4_000, 0, 4), 8)
    assert shift_nats is not None
    assert shift_nats == pytest.approx(math.log(7 / 4), abs=0.1)


def test_text_of_which_a_part_is_foreign_is_a_shift_wherever_that_part_stands() -> None:
    train, same, other = words(1, 20_000), words(2, 6_000), words(3, 6_000, 25, 75)
    for validation_tokens in (np.concatenate([same, other]), np.concatenate([other, same])):
        shift_nats = distribution_shift_nats(train, validation_tokens, 100)
        assert shift_nats is not None
        assert shift_nats > 0.3
