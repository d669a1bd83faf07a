"""What tokens tell of each other, on texts where that is known exactly."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from descend.metrics.mutual_information import MAX_SYMBOLS, mutual_information


def test_mutual_information_peaks_at_the_repeat_distance() -> None:
    # A letter of 7 is that five back, but for 30 in 100 drawn at random: it is the same with
    # probability 0.7 + 0.3 / 7, and each of the six others 0.3 / 7.
    rng = np.random.default_rng(1)
    text = rng.integers(0, 7, 60_000)
    for position in np.flatnonzero(rng.random(len(text)) >= 0.3):
        if position >= 5:
            text[position] = text[position - 5]
    same, other = 0.7 + 0.3 / 7, 0.3 / 7
    expected_nats = math.log(7) + same * math.log(same) + 6 * other * math.log(other)
    information_nats = mutual_information(text, [1, 2, 3, 4, 5, 6])
    assert information_nats[4] == pytest.approx(expected_nats, abs=0.02)
    assert max(information_nats[:4]) < 0.005
    assert information_nats[5] < 0.005


@given(st.integers(2, 5000), st.integers(0, 1000))
def test_tokens_drawn_at_random_tell_nothing(kinds: int, seed: int) -> None:
    text = np.random.default_rng(seed).zipf(1.5, 20_000).clip(max=kinds).astype(np.uint16)
    assert max(mutual_information(text, [1, 7, 64])) < 0.02


def test_mutual_information_uses_only_frequent_tokens() -> None:
    # Pairs: each token stands twice in a row. A third of it is the frequent first token.
    rare = np.random.default_rng(0).integers(1, 2000, 50_000)
    text = np.repeat(np.where(np.arange(50_000) % 3 == 0, 0, rare), 2)
    information_nats = mutual_information(text, [1, 1000])
    assert 0.1 < information_nats[0] < math.log(MAX_SYMBOLS)
    assert mutual_information(text[:1], [1]).tolist() == [0.0]
