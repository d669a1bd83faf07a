"""Passages that stand earlier in the same document are found and dropped."""

from __future__ import annotations

import random
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from descend.data.contamination import copied_passages
from descend.data.contamination.copied_passages import RUN, without_copied_passages
from descend.data.corpus import read_documents, resolve_corpus
from descend.data.corpus_builder import build_corpus
from descend.report.text.corpus_summary import describe_corpus_build


def prose(seed: int, num_lines: int) -> str:
    """Lines of made-up words, no two alike."""
    chance = random.Random(seed)
    words = ["".join(chance.choices("aeioubdglmnrst", k=chance.randint(2, 8))) for _ in range(900)]
    return "".join(" ".join(chance.choices(words, k=9)) + ".\n" for _ in range(num_lines))


@pytest.mark.parametrize("length", [RUN + 300, 2_311, 40_000])
def test_one_copy_of_a_repeated_text_remains(length: int) -> None:
    passage = prose(1, 900)[:length]  # ends within a line
    cleaned = without_copied_passages(passage * 7)
    assert cleaned.startswith(passage)
    assert len(cleaned) < length + 200  # the lines that two copies share


@pytest.mark.parametrize("sentence", ["The mill by the brook grinds on. ", "On and on we go.\n"])
def test_a_short_sentence_over_and_over_is_cut_to_its_beginning(sentence: str) -> None:
    cleaned = without_copied_passages(sentence * 2_000)
    assert cleaned
    assert len(cleaned) <= 2 * RUN
    assert sentence.startswith(cleaned[: len(sentence)])


def test_whole_lines_are_dropped_and_all_else_stays() -> None:
    first, chorus, second, third = (prose(seed, 12) for seed in range(4))
    text = first + chorus + second + chorus + third
    assert without_copied_passages(text) == first + chorus + second + third


def test_text_without_copies_stays() -> None:
    text = prose(5, 3_000)
    refrain = "And so they rowed on till the morning, and nobody said a word of it.\n"
    assert without_copied_passages(text) == text
    assert without_copied_passages("") == ""
    verses = "".join(prose(seed, 3) + refrain for seed in range(60))
    assert without_copied_passages(verses) == verses


def test_parts_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    text = prose(2, 200) + prose(3, 100) + prose(2, 200)
    whole = without_copied_passages(text)
    monkeypatch.setattr(copied_passages, "PART", 1_000)
    assert without_copied_passages(text) == whole == prose(2, 200) + prose(3, 100)


@given(st.text(max_size=700), st.integers(1, 4))
def test_what_remains_is_in_the_text_and_begins_it(text: str, copies: int) -> None:
    cleaned = without_copied_passages(text * copies)
    assert cleaned[:RUN] == (text * copies)[:RUN]
    assert len(cleaned) <= len(text * copies)


def test_near_deduplication_drops_copies_within_one_file(tmp_path: Path) -> None:
    passage = prose(7, 40)
    (tmp_path / "log.txt").write_text(passage * 20)
    exact = build_corpus(tmp_path / "log.txt", tmp_path / "exact", deduplicate="exact")
    assert exact.copied_fraction == 0.0
    near = build_corpus(tmp_path / "log.txt", tmp_path / "near", deduplicate="near")
    assert near.copied_fraction == pytest.approx(0.95)
    assert "95.0% of the text as copies within a document" in describe_corpus_build(near, False)
    (document,) = read_documents(resolve_corpus(str(tmp_path / "near")))
    assert document.text == passage


def test_a_large_document_takes_seconds() -> None:
    letters = np.random.default_rng(0).integers(97, 122, 4_000_000).astype(np.uint8)
    text = letters.tobytes().decode()
    began = time.perf_counter()
    assert len(without_copied_passages(text * 2)) == len(text)
    assert time.perf_counter() - began < 60
