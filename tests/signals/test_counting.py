"""Repeats and shift on texts made with a known share of each."""

from __future__ import annotations

import math

import numpy as np
import pytest

from descend.signals.counting import repeated_share, shift, telling_length


def words(seed: int, count: int, low: int = 0, high: int = 50) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, high, count).astype(np.uint16)


def test_a_text_that_is_there_k_times_repeats_itself_so_much() -> None:
    text = words(1, 5000)
    assert repeated_share(text) == 0.0
    assert repeated_share(np.tile(text, 4)) == pytest.approx(0.75, abs=0.01)


def test_more_of_the_same_text_is_no_shift() -> None:
    found = shift(words(1, 20_000), words(2, 4_000), 100)
    assert abs(found.difference) < 3 * found.error
    assert found.error < 0.02


def test_text_of_another_vocabulary_is_a_shift() -> None:
    # Known: half the held-out tokens never stand in training; the rest are as there.
    train, other = words(1, 20_000), words(2, 4_000, 25, 75)
    found = shift(train, other, 100)
    assert found.difference > 10 * found.error
    assert found.difference > math.log(2)


def test_a_copy_must_be_longer_where_the_text_says_little() -> None:
    assert telling_length(1_000_000, 3.0) == 32  # ordinary text
    assert telling_length(60_000, 0.3) == 128
    assert telling_length(60_000, 0.0001) is None
    # Two symbols, nearly always the same: runs of 32 recur by themselves, copied or not.
    text = (np.random.default_rng(0).random(60_000) < 0.02).astype(np.int64)
    nats = 0.098  # of a coin that falls on its head in 2 of 100 throws
    length = telling_length(len(text), nats)
    assert repeated_share(text) > 0.5
    assert length is not None
    assert repeated_share(text, length) < 0.05
    assert repeated_share(np.tile(text[:15_000], 4), length) == pytest.approx(0.75, abs=0.02)
