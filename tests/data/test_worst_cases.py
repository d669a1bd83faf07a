"""Texts made to be slow: time grows with their length, and nothing crashes."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from descend.data.contamination.exact_overlap import exact_overlap_fraction, find_exact_overlap
from descend.data.line_chunks import run_pieces
from descend.data.readers.html import html_text
from descend.data.readers.markup import scan_markup
from descend.data.readers.plain_text import read_plain
from descend.data.tokenizer import train_tokenizer
from descend.errors import CorpusError


def seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


@pytest.mark.parametrize("length", [1 << 14, 1 << 15, 1 << 16, 1 << 17])
def test_one_token_repeated_a_million_times_is_all_overlap(length: int) -> None:
    train, validation = np.zeros(1 << 20, np.uint16), np.zeros(1 << 18, np.uint16)
    assert find_exact_overlap(train, validation, length).fraction == 1.0
    assert exact_overlap_fraction(train, validation, 1e-3, 2.0) == 1.0


@pytest.mark.parametrize(
    "page",
    [
        lambda n: "<div>" * n + "deep",
        lambda n: "<div>" * n + "deep" + "</div>" * n,
        lambda n: "<span>" * n + "deep",
        lambda n: "<b><i>" * n + "deep",
        lambda n: "&amp;&lt;&eacute;&bogus" * n + "deep",
        lambda n: "<a " + " ".join(f"a{i}=1" for i in range(n)) + ">deep</a>",
        lambda n: "deep" + "<!--" * n + "<![CDATA[" * n + "<" * n,
    ],
    ids=["open", "closed", "inline", "bold", "entities", "attributes", "unclosed"],
)
def test_pages_take_time_by_their_length(page: Callable[[int], str]) -> None:
    assert "deep" in html_text(page(100))
    large = page(40_000)
    assert seconds(lambda: html_text(large)) < 2
    assert "deep" in html_text(large)


def test_a_page_beyond_the_parser_keeps_words_and_drops_menus() -> None:
    page = (
        "<nav>Menu<nav>x</nav></nav><p>One <b>b</b>old<br>two &amp; three</p><script>x<y</script>"
    )
    expected = html_text(page)
    assert expected == "One bold\ntwo & three\n"
    assert html_text("<div>" * 6000 + page) == expected


def test_markup_scanner_takes_time_by_length() -> None:
    for page in ("<" * 500_000, "<!--" * 200_000, "<a" * 300_000, "&" * 500_000):
        assert seconds(lambda page=page: list(scan_markup(page))) < 3  # type: ignore[misc]


def test_hundreds_of_megabytes_of_one_letter_are_a_sentence() -> None:
    blocks_read = 0

    def blocks() -> Iterator[bytes]:
        nonlocal blocks_read
        for _ in range(400):
            blocks_read += 1
            yield b"a" * (1 << 20)

    def read() -> None:
        with pytest.raises(CorpusError, match="run of over 16,777,216 equal characters"):
            sum(1 for _ in read_plain(blocks, "a.txt"))

    assert seconds(read) < 5
    assert blocks_read < 500  # all once, to see that they are UTF-8, and few of them again
    short = b"a" * (1 << 22) + b" b"
    assert "".join(d.text for d in read_plain(lambda: iter((short,)), "a.txt")) == short.decode()


def test_a_run_of_letters_is_cut_and_costs_little() -> None:
    run = "".join(random.Random(1).choices("acgt", k=1_000_000))
    assert "".join(run_pieces(f"one two {run} three {run}")) == f"one two {run} three {run}"
    assert max(len(piece) for piece in run_pieces(run)) <= 4096
    text = "It is known to all of us. " * 2000
    assert list(run_pieces(text)) == [text]
    spent = seconds(lambda: train_tokenizer("bpe", 1000, lambda: iter([text, run, run, run])))
    assert spent < 15
