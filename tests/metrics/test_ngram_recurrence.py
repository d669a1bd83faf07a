"""How far back the same few tokens stood before."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from descend.metrics.ngram_recurrence import (
    NGRAM_LENGTH,
    recurrence_distances,
    recurring_ngram_fraction,
)


@given(st.lists(st.integers(0, 2), max_size=80))
def test_distances_are_those_of_a_plain_search(values: list[int]) -> None:
    expected, last = [], {}  # type: ignore[var-annotated]
    for place in range(max(0, len(values) - NGRAM_LENGTH + 1)):
        run = tuple(values[place : place + NGRAM_LENGTH])
        expected.append(place - last.get(run, place))
        last[run] = place
    distances = recurrence_distances(np.array(values, np.uint16))
    assert distances.tolist() == expected


def test_duplicate_text_recurs_only_at_the_text_length() -> None:
    pick = np.random.default_rng(0)
    once = pick.permutation(500).astype(np.uint16)
    distances = recurrence_distances(np.concatenate([once, once]))
    assert recurring_ngram_fraction(distances, 0, 499) == 0.0
    assert recurring_ngram_fraction(distances, 499, 500) == (distances == 500).mean() > 0.49


def test_chance_recurs_nowhere() -> None:
    ids = np.random.default_rng(1).integers(0, 50_000, 20_000).astype(np.uint16)
    assert recurring_ngram_fraction(recurrence_distances(ids), 0, 20_000) < 0.001


def test_recurrence_fraction_is_zero_for_tiny_text() -> None:
    assert recurring_ngram_fraction(recurrence_distances(np.array([1, 2], np.uint16)), 0, 9) == 0.0
