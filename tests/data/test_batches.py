"""Which tokens make step n: a pure function of seed and n."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from descend.data.batches import BatchSampler, permute_indices
from descend.errors import CorpusError


def plan(length: int = 1000, seq_len: int = 16, batch_size: int = 4, seed: int = 1) -> BatchSampler:
    # Each token is its own position, so that a batch tells where it was taken from.
    return BatchSampler(np.arange(length, dtype=np.uint16), seq_len, batch_size, seed)


@given(st.integers(1, 3000), st.integers(0, 2**40), st.integers(0, 50))
def test_permuted_is_a_permutation(size: int, seed: int, salt: int) -> None:
    places = np.arange(size)
    assert np.array_equal(np.sort(permute_indices(places, size, seed, salt)), places)


def test_permutations_differ_by_seed_and_by_pass() -> None:
    places = np.arange(100)
    base = permute_indices(places, 100, 1, 0)
    assert not np.array_equal(base, permute_indices(places, 100, 2, 0))
    assert not np.array_equal(base, permute_indices(places, 100, 1, 1))
    # About one place in a hundred stays where it was in a random permutation.
    assert (base == places).sum() < 10


@given(st.integers(18, 2000), st.integers(2, 17), st.integers(1, 9), st.integers(0, 99))
def test_one_pass_reads_each_window_once(length: int, seq_len: int, batch: int, seed: int) -> None:
    chosen = plan(length, seq_len, batch, seed)
    count = chosen.sequences_per_epoch
    for number in (0, 1):
        windows = chosen.sequences(np.arange(count) + number * count)
        inputs = windows[:, :-1].ravel()
        assert len(np.unique(inputs)) == len(inputs)
        assert len(inputs) > length - 1 - 2 * seq_len  # all but the ends of the shifted grid
        assert np.array_equal(windows[:, 1:], windows[:, :-1] + 1)


@given(st.integers(0, 500), st.integers(1, 12))
def test_batch_is_independent_of_worker_split(step: int, parts: int) -> None:
    whole = plan(batch_size=12).batch(step)
    numbers = np.arange(step * 12, step * 12 + 12)
    shared = [plan(batch_size=12).sequences(part) for part in np.array_split(numbers, parts)]
    assert np.array_equal(whole, np.concatenate(shared))


def test_batches_of_other_sizes_read_the_same_sequences() -> None:
    four = np.concatenate([plan(batch_size=4).batch(n) for n in range(6)])
    eight = np.concatenate([plan(batch_size=8).batch(n) for n in range(3)])
    assert np.array_equal(four, eight)


def test_sequences_shift_and_shuffle_when_an_epoch_begins() -> None:
    chosen = plan()
    count = chosen.sequences_per_epoch
    first, second = (chosen.sequences(np.arange(count) + n * count)[:, 0] for n in (0, 1))
    assert set(first % 16) != set(second % 16)
    assert not np.array_equal(np.argsort(first), np.argsort(second))


@given(st.integers(20, 500), st.integers(1, 40), st.integers(1, 6))
def test_epochs_end_where_steps_says(length: int, batch: int, epochs: int) -> None:
    chosen = plan(length, 16, batch)
    total = chosen.steps(epochs)
    assert chosen.completed_epochs(total) >= epochs
    assert chosen.completed_epochs(total - 1) < epochs
    for step in range(total):
        assert (
            chosen.steps(chosen.epoch_at_step(step) - 1)
            <= step
            < chosen.steps(chosen.epoch_at_step(step))
        )


def test_num_epochs_is_fractional() -> None:
    batches = plan(batch_size=1)
    whole = batches.sequences_per_epoch
    assert batches.epochs_at_step(3 * whole) == 3
    assert batches.epochs_at_step(whole + 1) == 1 + 1 / whole
    assert plan(batch_size=4).epochs_at_step(whole) == 4


def test_batch_plan_rejects_corpus_below_one_sequence() -> None:
    assert plan(length=17).batch(0).shape == (4, 17)
    with pytest.raises(CorpusError, match="Add text, at least a few pages"):
        plan(length=16)
