"""Running headers and page numbers are left out; refrains, tables, and short documents stay."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from descend.data.readers import read_file
from descend.data.readers.running_lines import (
    WINDOW_PAGES,
    RunningLines,
    describe_running_lines,
    strip_running_lines,
)

from .test_sandboxed_readers import make_content_stream, write_pdf

WORDS = [
    "harbor", "lamp", "orchard", "winter", "kettle", "ladder", "violin", "meadow", "copper",
    "window",
]  # fmt: skip


def body(page: int, lines: int = 8) -> list[str]:
    """Lines of prose that stand on no other page."""
    again = "again " * (page % 5)
    return [
        f"the {WORDS[(page + n) % 10]} of {WORDS[page * n % 7]} {again}and {WORDS[n % 10]}"
        for n in range(lines)
    ]


def stripped(pages: list[list[str]]) -> list[list[str]]:
    """The pages as they are read, in lines."""
    texts = enumerate("\n".join(page) for page in pages)
    return [text.split("\n") for _, text in strip_running_lines(texts, RunningLines())]


@pytest.mark.parametrize(
    "number", ["{}", "- {} -", "Page {} of 30", "Seite {}", "{} | Letters from the North"]
)
@pytest.mark.parametrize("is_top", [True, False])
def test_page_numbers_are_left_out(number: str, is_top: bool) -> None:
    pages = [body(n) for n in range(30)]
    lines = [[number.format(n + 7)] for n in range(30)]
    whole = [a + b if is_top else b + a for a, b in zip(lines, pages, strict=True)]
    assert stripped(whole) == pages


def test_roman_page_numbers_are_left_out() -> None:
    pages = [body(n) for n in range(9)]
    romans = ["iv", "v", "vi", "vii", "viii", "ix", "x", "xi", "xii"]
    assert stripped([[*a, r] for a, r in zip(pages, romans, strict=True)]) == pages


def test_headers_are_left_out_but_for_the_first() -> None:
    pages = [body(n) for n in range(24)]
    heads = [[f"CHAPTER {n // 8 + 1}", "The Salt Road"] for n in range(24)]
    read = stripped([a + b for a, b in zip(heads, pages, strict=True)])
    assert read[0] == ["CHAPTER 1", "The Salt Road", *pages[0]]
    assert read[8] == ["CHAPTER 2", *pages[8]]
    assert [read[n] for n in range(24) if n not in (0, 8, 16)] == [
        pages[n] for n in range(24) if n not in (0, 8, 16)
    ]


def test_headers_of_left_and_right_pages_are_left_out() -> None:
    pages = [body(n) for n in range(20)]
    heads = [["Ida Brandt" if n % 2 else "The Salt Road"] for n in range(20)]
    read = stripped([a + b for a, b in zip(heads, pages, strict=True)])
    assert read[2:] == pages[2:]


def test_long_book_is_stripped_in_each_part() -> None:
    pages = [body(n) for n in range(2 * WINDOW_PAGES + 3)]
    read = stripped([["The Salt Road", *page, str(n + 1)] for n, page in enumerate(pages)])
    assert read[1:] == pages[1:]


REFRAIN = "and the tide came in again"
UNCHANGED = {
    "a refrain": [[*body(n, 3), REFRAIN, *body(n + 40, 4), REFRAIN] for n in range(12)],
    "titles of poems": [[f"Sonnet {n + 1}", *body(n, 14)] for n in range(12)],
    "rows of a table": [[f"{3 * n * n} {n * 17 + 5} {n}4.50"] * 2 + body(n)
                        + [f"Total {n * n * 31 + 7}"] for n in range(12)],
    "few pages": [["The Salt Road", *body(n), str(n + 1)] for n in range(4)],
    "slides": [["The Salt Road", "salt", f"point {n * n}"] for n in range(20)],
    "equal pages": [["The fox"]] * 20,
    "years": [[*body(n), str(1900 + n * n)] for n in range(12)],
}  # fmt: skip


@pytest.mark.parametrize("kind", UNCHANGED)
def test_lines_of_the_text_itself_stay(kind: str) -> None:
    assert stripped(UNCHANGED[kind]) == UNCHANGED[kind]


def test_what_was_left_out_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pages = [make_content_stream("The Salt Road", *body(n), str(n + 1)) for n in range(8)]
    with caplog.at_level(logging.WARNING, "descend"):
        text = "".join(d.text for d in read_file(write_pdf(tmp_path / "a.pdf", pages), name="a"))
    assert text.count("The Salt Road") == 1
    assert caplog.messages == [
        'a: left out lines that recur at the top or bottom of pages: page numbers (8), "The Salt '
        'Road" (7 times)'
    ]
    assert describe_running_lines(RunningLines().removed) is None


def read_paged(path: Path, pages: list[list[str]]) -> str:
    """What is read of pages that form feeds divide."""
    path.write_text("".join("\n".join(page) + "\n\f" for page in pages))
    return "".join(document.text for document in read_file(path))


def test_pages_divided_by_form_feeds_lose_their_running_lines(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pages = [body(n) for n in range(20)]
    whole = [
        [f"{n + 5}   Letters from the North", "", *page, "", "Scanned in Lund"]
        for n, page in enumerate(pages)
    ]
    read = read_paged(tmp_path / "book.txt", whole)
    pages[0] += ["", "Scanned in Lund"]  # the first of each text stays
    assert read == "".join("\n".join(page) + "\n\n" for page in pages)
    assert '"Scanned in Lund" (19 times)' in caplog.text
    assert "page numbers (20)" in caplog.text


@pytest.mark.parametrize("name", ["poems.txt", "poems", "poems.el"])
def test_pages_without_running_lines_stay_as_they_are(name: str, tmp_path: Path) -> None:
    head = ["Letters from the North"] if name.endswith(".el") else []
    poems = [[*head, f"Song {n}", "", *body(n, 6), "and the river ran", ""] * 2 for n in range(12)]
    read = read_paged(tmp_path / name, poems)
    assert read == (tmp_path / name).read_text()
