"""Both sides of a split are disjoint, cover everything, and are decided by the seed."""

from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from descend.data.document import Document
from descend.data.document_store import DocumentStore, build_document_store
from descend.data.split import (
    MAX_SIZE_RATIO,
    MIN_SIZE_RATIO,
    Spans,
    Split,
    choose_validation_documents,
    split_documents,
)
from descend.errors import CorpusError

FRACTIONS = st.floats(0.01, 0.5)
TEXTS = st.lists(st.text(st.sampled_from("ab\n é東🦊"), min_size=1, max_size=40), min_size=1)


def split(texts: list[str], fraction: float, seed: int) -> tuple[DocumentStore, Split]:
    with tempfile.TemporaryDirectory() as folder:
        documents = (Document(text, str(i)) for i, text in enumerate(texts))
        built = build_document_store(documents, Path(folder) / "s")
        return built, split_documents(built, fraction, seed)


def pairs(spans: Spans) -> list[tuple[int, int]]:
    return [(start, end) for start, end in spans.tolist()]


@given(TEXTS, FRACTIONS, st.integers(0, 2**63 - 1))
def test_split_is_disjoint_complete_and_preserves_characters(
    texts: list[str], fraction: float, seed: int
) -> None:
    try:
        built, made = split(texts, fraction, seed)
    except CorpusError:
        assert sum(map(len, texts)) < 4, "only next to nothing cannot be split"
        return
    train, validation = pairs(made.train), pairs(made.validation)
    spans = sorted(train + validation)
    assert train
    assert validation
    assert spans[0][0] == 0
    assert spans[-1][1] == built.nbytes
    assert all(a[1] == b[0] for a, b in pairwise(spans))
    documents = list(zip(built.offsets[:-1].tolist(), built.offsets[1:].tolist(), strict=True))
    for start, end in spans:
        assert any(first <= start < end <= last for first, last in documents)
        built.bytes(start, end).decode("utf-8")
    assert made.train_bytes + made.validation_bytes == built.nbytes
    if made.method == "documents":
        share = made.validation_bytes / (fraction * built.nbytes)
        assert MIN_SIZE_RATIO - 1e-9 <= share <= MAX_SIZE_RATIO + 1e-9  # divided, so rounded
        validation_documents = {built.bytes(*span) for span in validation}
        assert validation_documents.isdisjoint(built.bytes(*span) for span in train)
    else:
        assert min(validation)[0] == max(train)[1]
    again = split(texts, fraction, seed)[1]
    assert (pairs(again.train), pairs(again.validation)) == (train, validation)


@given(
    st.lists(st.tuples(st.integers(1, 1000), st.integers(0, 20)), min_size=1), FRACTIONS,
    st.integers(0, 1000),
)  # fmt: skip
def test_a_choice_is_fair_or_none_exists(
    documents: list[tuple[int, int]], fraction: float, seed: int
) -> None:
    hashes = np.array([hash_ for _, hash_ in documents], dtype=np.uint64)
    nbytes = np.array([size for size, _ in documents], dtype=np.int64)
    target_bytes = fraction * float(nbytes.sum())
    validation_mask = choose_validation_documents(nbytes, hashes, fraction, seed)
    if validation_mask is None:
        groups = [int(nbytes[hashes == one].sum()) for one in set(hashes.tolist())]
        small = [size for size in groups if size <= MAX_SIZE_RATIO * target_bytes]
        assert sum(small) < MIN_SIZE_RATIO * target_bytes
        return
    assert (
        MIN_SIZE_RATIO * target_bytes
        <= nbytes[validation_mask].sum()
        <= MAX_SIZE_RATIO * target_bytes
    )
    assert set(hashes[validation_mask].tolist()).isdisjoint(hashes[~validation_mask].tolist())


def test_another_seed_holds_out_other_documents() -> None:
    texts = [f"document number {i}" for i in range(100)]
    one, two = split(texts, 0.1, 1)[1], split(texts, 0.1, 2)[1]
    assert one.method == two.method == "documents"
    assert pairs(one.validation) != pairs(two.validation)


def test_single_document_split_ends_at_a_line() -> None:
    text = "".join(f"This is line {i} of it.\n" for i in range(5000))
    built, made = split([text], 0.1, 0)
    assert made.method == "block"
    assert built.bytes(*made.train[0]).endswith(b"\n")
    assert made.validation_bytes / built.nbytes == pytest.approx(0.1, abs=0.001)


def test_dominant_document_is_split_as_a_block() -> None:
    _, made = split(["tiny", "fox " * 10_000, "small"], 0.1, 0)
    assert made.method == "block"
    assert len(made.validation) == 2, "the end of the huge one and the last one"


def test_a_single_character_cannot_be_split() -> None:
    with pytest.raises(CorpusError, match="3 bytes of text"):
        split(["東"], 0.1, 0)


def test_a_fraction_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="fraction"):
        split(["one", "two"], 0.6, 0)
