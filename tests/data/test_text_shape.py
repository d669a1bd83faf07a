"""Validation text unlike the training text, and lines that repeat, are measured and said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from descend.config import make_config
from descend.data.corpus_stats import compute_corpus_stats
from descend.data.text_shape import (
    SLICE_TOKENS,
    SLICES,
    TextShape,
    random_id_fraction,
    repeated_line_fraction,
    split_word_fraction,
    token_divergence,
)
from descend.diagnosis.text_warnings import describe_text_shape
from descend.report.text.corpus_summary import format_corpus_stats
from descend.training.assembly import tokenize_corpus

WORDS = {
    "english": "the river ran past old stones and nobody knew where its water went at night",
    "tamil": "அந்த ஆறு பழைய கற்களைக் கடந்து ஓடியது இரவில் நீர் எங்கே சென்றது என்று யாருக்கும் தெரியாது",
}


def write_lines(language: str, count: int, seed: int) -> str:
    rng = np.random.default_rng(seed)
    words = np.array(WORDS[language].split())
    return "".join(" ".join(rng.choice(words, 9)) + ".\n" for _ in range(count))


def warnings_of(text: str, folder: Path) -> str:
    file = folder / "text.txt"
    file.write_text(text, encoding="utf-8")
    store = tokenize_corpus(make_config({"corpus_dir": str(file), "vocab_size": 400}))
    return "\n".join(format_corpus_stats(compute_corpus_stats(store)))


def test_validation_in_another_language_is_said_and_a_mixed_text_is_not(tmp_path: Path) -> None:
    parts = write_lines("tamil", 600, 0), write_lines("english", 300, 1)
    assert "validation text is unlike the training text" in warnings_of("".join(parts), tmp_path)
    lines = "".join(parts).splitlines(keepends=True)
    np.random.default_rng(0).shuffle(lines)
    assert "unlike" not in warnings_of("".join(lines), tmp_path)


def test_a_log_of_one_line_is_called_repetitive(tmp_path: Path) -> None:
    log = "".join(f"2026-11-30 10:{n % 60:02} worker {n % 7} heartbeat ok\n" for n in range(2000))
    assert "100% of the lines repeat an earlier one" in warnings_of(log, tmp_path)
    assert "repeat an earlier one" not in warnings_of(write_lines("english", 600, 0), tmp_path)


def test_few_lines_are_never_called_repetitive() -> None:
    assert repeated_line_fraction("a\n" * 20) == 0
    assert repeated_line_fraction("a 1\n\n" * 100) == pytest.approx(0.99)


@given(st.integers(2, 300), st.integers(0, 5))
def test_divergence_of_equal_distributions_is_near_zero(vocab: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    train, validation = rng.integers(vocab, size=20_000), rng.integers(vocab, size=2_000)
    assert token_divergence(train, validation, vocab) < 0.02
    assert token_divergence(train, validation + vocab, 2 * vocab) > 0.9


def test_of_a_long_text_all_parts_are_counted() -> None:
    # The second half is another language: the validation text is drawn from both.
    half = SLICES * SLICE_TOKENS
    train = np.concatenate([np.zeros(half, np.int64), np.ones(half, np.int64)])
    assert token_divergence(train, np.array([0, 1] * 1000), 2) < 0.01
    only_first = token_divergence(train, np.zeros(2000, np.int64), 2)
    assert describe_text_shape(TextShape(only_first, 0.0))


def test_words_split_at_line_ends_are_counted() -> None:
    scanned = (
        "It is a truth univer-\nsally acknowledged,\nthat a single\nman in posses-\nsion\n" * 20
    )
    assert split_word_fraction(scanned) == pytest.approx(0.4)
    assert describe_text_shape(TextShape(0.0, 0.0, split_word_fraction=0.4))[0].startswith("40% of")
    # Dashes, lists, rules, and sums are no split words.
    others = "- one\n- two\nHe went -\nand came\n-----\nx = a -\n3\nwell-known\nEnd.--\nThen\n" * 20
    assert split_word_fraction(others) == 0.0
    assert split_word_fraction(scanned[:90]) == 0.0  # too few lines


def test_characters_in_random_ids_are_counted() -> None:
    line = "GET /a id=9f86d081884c7d65 trace=550e8400-e29b-41d4-a716-446655440000\n"
    assert random_id_fraction(line) == pytest.approx((16 + 36) / len(line))
    assert "hexadecimal ids" in describe_text_shape(TextShape(0.0, 0.0, random_id_fraction=0.5))[0]
    others = (
        "deadbeef facade 20261201 12345678 0.12345678 1e-05 added effaced 555-1234-567 beefcafe"
    )
    assert random_id_fraction(others) == 0.0
