"""BPE-dropout: what is undone, what stays, and that it follows from the seed and the step alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from descend.data.batches import BatchSampler
from descend.data.bpe_dropout import (
    NOT_MERGED,
    BpeDropout,
    find_merge_parts,
    make_bpe_dropout,
    undo_merges,
)
from descend.data.tokenizer import Tokenizer, train_tokenizer

TEXT = "the quick brown fox jumps over the lazy dog and the other dogs. " * 40


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer("bpe", 400, lambda: iter([TEXT]))


def _hashes(shape: tuple[int, int], seed: int) -> NDArray[np.uint64]:
    return np.random.default_rng(seed).integers(0, 2**64, shape, dtype=np.uint64)


def test_find_merge_parts_gives_two_tokens_that_spell_the_merged_one(tokenizer: Tokenizer) -> None:
    parts = find_merge_parts(tokenizer)
    merged = np.flatnonzero(parts[:, 0] != NOT_MERGED)
    assert len(merged) == tokenizer.vocab_size - 257 > 20
    for token in merged:
        assert tokenizer.decode([int(token)]) == tokenizer.decode([int(p) for p in parts[token]])


def test_make_bpe_dropout_gives_none_when_nothing_can_be_undone(tokenizer: Tokenizer) -> None:
    assert make_bpe_dropout(tokenizer, 0.0) is None
    assert make_bpe_dropout(tokenizer, None) is None
    assert make_bpe_dropout(train_tokenizer("char", 300, lambda: iter([TEXT])), 0.1) is None
    assert make_bpe_dropout(train_tokenizer("byte", 300, lambda: iter([TEXT])), 0.1) is None


@settings(max_examples=40, deadline=None)
@given(st.floats(0.01, 0.99), st.integers(0, 2**32), st.integers(1, 30))
def test_undo_merges_keeps_the_text_when_rows_are_cut(
    tokenizer: Tokenizer, probability: float, seed: int, width: int
) -> None:
    ids = np.array(tokenizer.encode(TEXT))
    rows = np.stack([ids[:width], ids[width : 2 * width]])
    undone = undo_merges(
        rows, _hashes(rows.shape, seed), BpeDropout(probability, find_merge_parts(tokenizer))
    )
    assert undone.shape == rows.shape
    for before, after in zip(rows, undone, strict=True):
        text = tokenizer.decode([int(i) for i in before])
        assert text.startswith(tokenizer.decode([int(i) for i in after]))


def test_undo_merges_leaves_single_bytes_when_the_probability_is_nearly_one(
    tokenizer: Tokenizer,
) -> None:
    parts = find_merge_parts(tokenizer)
    rows = np.array([tokenizer.encode(TEXT)[:50]])
    undone = undo_merges(rows, _hashes(rows.shape, 1), BpeDropout(1.0, parts))
    assert (parts[undone] == NOT_MERGED).all()


def test_undo_merges_undoes_as_many_as_the_probability_says(tokenizer: Tokenizer) -> None:
    token = int(np.flatnonzero(find_merge_parts(tokenizer)[:, 0] != NOT_MERGED)[0])
    rows = np.full((1, 20_000), token)
    undone = undo_merges(rows, _hashes(rows.shape, 2), BpeDropout(0.1, find_merge_parts(tokenizer)))
    # Of n tokens that are cut to n places, n / (1 + p) stand there, p of them as two.
    num_merged = int((undone == token).sum())
    assert num_merged == pytest.approx(20_000 * 0.9 / 1.1, rel=0.02)


def test_batch_sampler_gives_equal_sequences_when_batches_differ(tokenizer: Tokenizer) -> None:
    tokens = np.array(tokenizer.encode(TEXT * 4), np.uint16)
    sampler = BatchSampler(tokens, 16, 4, seed=3, bpe_dropout=make_bpe_dropout(tokenizer, 0.2))
    numbers = np.arange(3, 40)
    together = sampler.sequences(numbers)
    alone = np.concatenate([sampler.sequences(numbers[n : n + 1]) for n in range(len(numbers))])
    assert (together == alone).all()


def test_batch_sampler_splits_a_window_otherwise_when_the_epoch_differs(
    tokenizer: Tokenizer,
) -> None:
    tokens = np.array(tokenizer.encode(TEXT)[:17], np.uint16)  # one window, at one offset
    sampler = BatchSampler(tokens, 16, 1, seed=3, bpe_dropout=make_bpe_dropout(tokenizer, 0.3))
    assert sampler.sequences_per_epoch == 1
    epochs = sampler.sequences(np.arange(8))
    assert len(np.unique(epochs, axis=0)) > 4


def test_batch_sampler_undoes_fewer_merges_when_the_dropout_is_scaled_down(
    tokenizer: Tokenizer,
) -> None:
    tokens = np.array(tokenizer.encode(TEXT * 4), np.uint16)
    sampler = BatchSampler(tokens, 16, 8, seed=3, bpe_dropout=make_bpe_dropout(tokenizer, 0.4))
    plain = BatchSampler(tokens, 16, 8, seed=3)
    assert (sampler.batch(2) != plain.batch(2)).any(1).all()
    assert (sampler.batch(2, dropout_scale=0.0) == plain.batch(2)).all()
    half = BatchSampler(tokens, 16, 8, seed=3, bpe_dropout=make_bpe_dropout(tokenizer, 0.2))
    assert (sampler.batch(2, dropout_scale=0.5) == half.batch(2)).all()
