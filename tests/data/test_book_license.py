"""Books of Project Gutenberg are read without the header and the license around them."""

from __future__ import annotations

import itertools
import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from descend.data.book_license import MAX_LICENSE_CHARS, drop_book_licenses
from descend.data.corpus import read_documents, resolve_corpus
from descend.data.corpus_builder import build_corpus
from descend.data.document import Document

TODAY = "*** START OF THE PROJECT GUTENBERG EBOOK {} ***"
"""As books of 2026 have it. Titles can be long enough for two lines."""

LICENSE = "\n\n*** END OF THE PROJECT GUTENBERG EBOOK ***\n\n" + "Updated editions replace…\n" * 700


def book(title: str, text: str, start: str = TODAY) -> str:
    header = f"The Project Gutenberg eBook of {title}\n\nRelease date: June 1, 2008\n\n"
    return header + start.format(title.upper()) + "\n\n\n" + text + LICENSE


def read(*texts: str) -> list[str]:
    return [d.text for d in drop_book_licenses(Document(text, "book.txt") for text in texts)]


@pytest.mark.parametrize(
    "start",
    [
        TODAY,
        "***START OF THE PROJECT GUTENBERG EBOOK {}***",
        "*** START OF THIS PROJECT GUTENBERG EBOOK {} ***",
        "*** START OF THE PROJECT GUTENBERG EBOOK {},\nOR, THE WHALE ***",
        "*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*",
        "*END THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*",
    ],
)
def test_drop_book_licenses_leaves_the_book(start: str) -> None:
    assert read(book("Moby Dick", "Call me Ishmael.", start)) == ["Call me Ishmael.\n\n"]


@pytest.mark.parametrize(
    "end",
    [
        "End of Project Gutenberg's Moby Dick, by Herman Melville",
        "End of the Project Gutenberg EBook of Moby Dick",
        "End of The Project Gutenberg Etext of Moby Dick",
        "***END OF THE PROJECT GUTENBERG EBOOK MOBY DICK***",
    ],
)
def test_drop_book_licenses_knows_older_ends(end: str) -> None:
    text = "Call me Ishmael.\n" * 3
    assert read(f"{text}{end}\n\n{LICENSE}") == [text]


def test_drop_book_licenses_divides_books_joined_to_one_file() -> None:
    whole = book("Emma", "Emma Woodhouse, handsome.\n") + book("Dracula", "3 May. Bistritz.\n")
    assert read(whole) == ["Emma Woodhouse, handsome.\n\n\n3 May. Bistritz.\n\n\n"]


@pytest.mark.parametrize(
    "text",
    [
        "Project Gutenberg has books.\nThe End of Project Gutenberg's server.\n",
        "strip everything above\n*** START OF THE PROJECT GUTENBERG EBOOK X ***\nto read on\n",
        "I saw this line:\nEnd of the Project Gutenberg EBook of X\n"
        + "and wrote on\n" * (MAX_LICENSE_CHARS // 10),
    ],
)
def test_drop_book_licenses_keeps_text_that_only_quotes_the_lines(text: str) -> None:
    assert read(text) == [text]


def test_drop_book_licenses_warns_once_with_the_size(caplog: pytest.LogCaptureFixture) -> None:
    texts = [book("Emma", "Emma Woodhouse."), "a diary", book("Dracula", "3 May.")]
    with caplog.at_level(logging.WARNING, "descend"):
        remaining = read(*texts)
    assert len(remaining) == 3
    left_out = sum(map(len, texts)) - sum(map(len, remaining))
    assert caplog.messages == [
        f"2 books of Project Gutenberg, read without the license ({left_out:,} characters)"
    ]


def test_drop_book_licenses_drops_a_document_of_license_alone() -> None:
    assert read("chapter 1", LICENSE.strip()) == ["chapter 1"]


@given(st.lists(st.integers(1, 300), max_size=8))
def test_drop_book_licenses_does_not_depend_on_the_parts(num_lines: list[int]) -> None:
    text = "Emma Woodhouse, handsome, clever, and rich.\n" * 40
    lines = book("Emma", text).splitlines(keepends=True)
    cuts = [0, *itertools.accumulate(num_lines, initial=8), len(lines)]  # the header is in one part
    parts = ["".join(lines[a:b]) for a, b in itertools.pairwise(cuts) if a < len(lines)]
    documents = (Document(part, "b", i) for i, part in enumerate(parts) if part)
    remaining = list(drop_book_licenses(documents))
    assert "".join(d.text for d in remaining) == text + "\n\n"
    assert [d.part_index for d in remaining] == list(range(len(remaining)))


def test_read_documents_and_build_corpus_leave_the_license_out(tmp_path: Path) -> None:
    (tmp_path / "emma.txt").write_text(book("Emma", "Emma Woodhouse, handsome."))
    source = resolve_corpus(str(tmp_path / "emma.txt"))
    assert [d.text for d in read_documents(source)] == ["Emma Woodhouse, handsome.\n\n"]
    summary = build_corpus(tmp_path / "emma.txt", tmp_path / "corpus")
    gathered = summary.path.read_text()
    assert "Woodhouse" in gathered
    assert "Updated" not in gathered
