"""Passages that stand in the training text with small changes, and honest ones that do not."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from descend.data import builtin_corpora
from descend.data.contamination import fuzzy_overlap as module
from descend.data.contamination.fuzzy_overlap import FuzzyOverlap, find_fuzzy_overlap

WORDS = [f"w{number}" for number in range(3000)]


def decode(ids: Sequence[int]) -> str:
    """Each token a word."""
    return " ".join(WORDS[i] for i in ids)


def honest(tokens: int, seed: int) -> list[int]:
    pick = random.Random(seed)
    return [pick.randrange(len(WORDS)) for _ in range(tokens)]


def changed(ids: list[int], one_in: int) -> list[int]:
    pick = random.Random(7)
    return [pick.randrange(len(WORDS)) if pick.random() < 1 / one_in else i for i in ids]


def measure_overlap(train: list[int], validation_tokens: list[int]) -> FuzzyOverlap:
    overlap = find_fuzzy_overlap(np.array(train), np.array(validation_tokens), decode)
    assert overlap is not None
    return overlap


def test_honest_text_has_none() -> None:
    overlap = measure_overlap(honest(20_000, 1), honest(2_000, 2))
    assert (
        overlap.fraction,
        overlap.train_repeat_fraction,
        overlap.excess_fraction_lower_bound,
    ) == (0.0, 0.0, 0.0)
    assert not overlap.covered.any()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 15_000), st.sampled_from([10, 20, 10_000]))
def test_fuzzy_overlap_detects_edited_text_at_any_position(place: int, one_in: int) -> None:
    validation_tokens, train = honest(1_000, 2), honest(15_000, 1)
    overlap = measure_overlap(
        train[:place] + changed(validation_tokens, one_in) + train[place:], validation_tokens
    )
    assert overlap.fraction > 0.8
    assert (
        0.5
        < overlap.excess_fraction_lower_bound
        <= overlap.fraction - overlap.train_repeat_fraction
    )
    assert overlap.covered.mean() > 0.8


def test_fuzzy_overlap_covers_only_the_duplicated_half() -> None:
    validation_tokens = honest(960, 2)
    overlap = measure_overlap(
        honest(15_000, 1) + changed(validation_tokens[:480], 20), validation_tokens
    )
    assert overlap.covered[:432].all()
    assert not overlap.covered[480:].any()


def test_duplicate_training_text_is_not_fuzzy_overlap() -> None:
    """Doubled training text with a copy of none of it held out, and tales of few words."""
    twice = honest(10_000, 1) * 2
    assert measure_overlap(twice, honest(2_000, 2)).excess_fraction_lower_bound == 0.0
    story_words = " ".join(
        d.text for d in islice(builtin_corpora.read_builtin_corpus("stories"), 600)
    ).split()
    numbers = {word: number for number, word in enumerate(dict.fromkeys(story_words))}
    names = list(numbers)
    ids = np.array([numbers[word] for word in story_words])
    cut = len(ids) * 9 // 10
    overlap = find_fuzzy_overlap(
        ids[:cut], ids[cut:], lambda part: " ".join(names[i] for i in part)
    )
    assert overlap is not None
    assert overlap.fraction > 0.5
    assert overlap.excess_fraction_lower_bound < 0.05


def test_it_does_not_depend_on_the_chunk() -> None:
    validation_tokens = honest(1_000, 2)
    train = honest(4_000, 1) + changed(validation_tokens, 20) + honest(4_000, 3)
    whole = measure_overlap(train, validation_tokens)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK", 3_000)  # runs across its ends are lost: three a chunk
        parts = measure_overlap(train, validation_tokens)
    assert (parts.covered == whole.covered).mean() > 0.9


def test_text_without_words_says_nothing() -> None:
    def letters(ids: Sequence[int]) -> str:
        return "".join("abcd"[i % 4] for i in ids)

    assert find_fuzzy_overlap(np.array(honest(9_000, 1)), np.array(honest(900, 2)), letters) is None
    assert find_fuzzy_overlap(np.array([1, 2, 3]), np.array([1, 2]), decode) is None
    assert find_fuzzy_overlap(np.array([1, 2, 3]), np.array(honest(900, 2)), decode) is None


def test_reordered_phrases_are_not_fuzzy_overlap() -> None:
    """Half of the validation text is put together from lines that training is full of: each of them
    stands there, but never beside the others."""
    pick = random.Random(5)
    lines = [honest(12, 100 + n) for n in range(60)]

    def put_together(passages: int) -> list[int]:
        return [token for _ in range(4 * passages) for token in pick.choice(lines)]

    train = honest(15_000, 1) + put_together(60)
    overlap = measure_overlap(train, honest(1_000, 2) + put_together(40))
    assert overlap.fraction < 0.3
    assert overlap.excess_fraction_lower_bound == 0.0
