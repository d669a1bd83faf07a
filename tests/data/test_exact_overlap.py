"""The overlap check against a set of tuples, and on planted copies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from descend.data.contamination import exact_overlap as module
from descend.data.contamination.exact_overlap import (
    exact_overlap_fraction,
    find_exact_overlap,
    min_significant_match_length,
)
from descend.metrics.corpus_distribution import repeated_ngram_fraction


def slow_cover(train: list[int], validation: list[int], length: int) -> list[bool]:
    """Every window of training in a set; every window of validation looked up in it."""
    known = {tuple(train[i : i + length]) for i in range(len(train) - length + 1)}
    covered = [False] * len(validation)
    for i in range(len(validation) - length + 1):
        if tuple(validation[i : i + length]) in known:
            covered[i : i + length] = [True] * length
    return covered


TOKENS = st.lists(st.integers(0, 2), max_size=80)


@given(TOKENS, TOKENS, st.sampled_from([1, 2, 4, 8]))
def test_it_equals_a_set_of_tuples(train: list[int], validation: list[int], length: int) -> None:
    result = find_exact_overlap(np.array(train, np.uint16), np.array(validation, np.uint16), length)
    expected = slow_cover(train, validation, length)
    assert result.covered.tolist() == expected
    assert result.fraction == (sum(expected) / len(expected) if expected else 0.0)


@given(TOKENS, TOKENS)
def test_it_does_not_depend_on_chunk_or_block(train: list[int], validation: list[int]) -> None:
    whole = find_exact_overlap(np.array(train, int), np.array(validation, int), 4).covered
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK", 5)
        patch.setattr(module, "BLOCK", 7)
        parts = find_exact_overlap(np.array(train, int), np.array(validation, int), 4).covered
    assert parts.tolist() == whole.tolist()


def test_exact_overlap_detects_planted_spans_in_mapped_file(tmp_path: Path) -> None:
    source = np.random.default_rng(1)
    train = source.integers(0, 4096, 600_000).astype(np.uint16)
    validation = source.integers(0, 4096, 50_000).astype(np.uint16)
    edge = module.CHUNK  # a copy that lies across two chunks
    validation[100:150] = train[1000:1050]
    validation[7000:7064] = train[edge - 30 : edge + 34]
    validation[9000:9031] = train[5:36]  # one token short of 32
    validation[-32:] = train[-32:]
    train.tofile(tmp_path / "train.bin")
    mapped = np.memmap(tmp_path / "train.bin", np.uint16, "r")
    result = find_exact_overlap(mapped, validation, 32)
    assert result.spans() == [(7000, 7064), (100, 150), (49_968, 50_000)]
    assert result.spans(max_spans=1) == [(7000, 7064)]
    assert result.fraction == (50 + 64 + 32) / 50_000


def test_exact_overlap_is_zero_without_duplicates() -> None:
    tokens = np.random.default_rng(2).integers(0, 4096, 100_000)
    assert find_exact_overlap(tokens[:50_000], tokens[50_000:]).fraction == 0
    assert find_exact_overlap(tokens, tokens).fraction == 1


def test_sampled_overlap_fraction_approximates_exact_fraction(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = np.random.default_rng(3)
    train, validation = source.integers(0, 4096, (2, 100_000)).astype(np.uint16)
    validation[:40_000] = train[:40_000]
    exact = find_exact_overlap(train, validation).fraction
    assert exact == 0.4
    assert exact_overlap_fraction(train, validation, 8.3, 5.0) == exact
    monkeypatch.setattr(module, "MAX_CHECKED_TOKENS", 20_000)
    monkeypatch.setattr(module, "NUM_SAMPLE_SEGMENTS", 50)
    assert exact_overlap_fraction(train, validation, 8.3, 5.0) == pytest.approx(exact, abs=0.02)


def test_exact_overlap_handles_short_text_and_invalid_lengths() -> None:
    assert find_exact_overlap(np.arange(5), np.arange(5), 8).fraction == 0
    assert find_exact_overlap(np.array([], int), np.arange(50), 8).fraction == 0
    assert find_exact_overlap(np.arange(50), np.array([], int), 8).fraction == 0
    with pytest.raises(ValueError, match="found 12, expected a power of two"):
        find_exact_overlap(np.arange(5), np.arange(5), 12)


def test_min_overlap_length_grows_as_entropy_falls() -> None:
    assert min_significant_match_length(1_000_000, 3.0, 5.0) == 32  # ordinary text
    assert min_significant_match_length(1_000_000, 1.5, 1.0) == 256  # letters: a phrase is no copy
    assert min_significant_match_length(60_000, 0.3, 2.0) == 128
    assert min_significant_match_length(60_000, 0.0001, 1.0) is None
    # Two symbols, nearly always the same: runs of 32 recur by themselves, copied or not.
    text = (np.random.default_rng(0).random(60_000) < 0.02).astype(np.int64)
    nats = 0.098  # of a coin that falls on its head in 2 of 100 throws
    length = min_significant_match_length(len(text), nats, 1.0)
    assert repeated_ngram_fraction(text) > 0.5
    assert length is not None
    assert repeated_ngram_fraction(text, length) < 0.05
    assert repeated_ngram_fraction(np.tile(text[:15_000], 4), length) == pytest.approx(
        0.75, abs=0.02
    )


def test_overlap_fraction_ignores_coincidental_repetition() -> None:
    source = np.random.default_rng(4)
    train, validation = (source.random((2, 60_000)) < 0.02).astype(np.int64)
    assert find_exact_overlap(train, validation).fraction > 0.9
    assert exact_overlap_fraction(train, validation, 0.098, 1.0) < 0.3
    assert exact_overlap_fraction(train, validation, 1e-5, 1.0) == 0
