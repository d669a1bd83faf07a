"""Running headers and footers of documents that are the pages of a book, one file each.

A line of code, a label before what follows, and an answer recur at the ends of documents too, and
belong to them. What only repeats must therefore read as a title does, and stand on nearly all
documents if no line counts them. A document with markers of a conversation is no page.
"""

from __future__ import annotations

from collections.abc import Sequence

from descend.data.readers.chats import MARKERS
from descend.data.readers.running_lines import Page, RunningLines, line_pattern

MAX_PAGE_LINES = 200
"""Of a longer document, its beginning and its end."""
MIN_UNCOUNTED_FRACTION = 0.95
"""Of the documents, where no line counts them: an answer may recur on most."""
MAX_NUMBERS = 2
"""In a line that counts pages: more make it a time, or the row of a table."""


def learn_page_lines(running: RunningLines, texts: Sequence[str], first_index: int) -> None:
    """Take up the lines that recur at the ends of most of `texts`, the first at `first_index`."""
    pages = [(first_index + n, _page_lines(text.splitlines())) for n, text in enumerate(texts)]
    learned = RunningLines()
    learned.learn(pages)
    for key, numbers in learned.counting.items():
        if key[1].count("#") <= MAX_NUMBERS:
            running.counting[key] |= numbers
    running.repeated |= {
        key for key in learned.repeated
        if _reads_as_title(key[1])
        and (running.counting or _page_fraction(key[1], pages) >= MIN_UNCOUNTED_FRACTION)
    }  # fmt: skip


def page_line_numbers(running: RunningLines, lines: Sequence[str], index: int) -> list[int]:
    """Return which `lines` of the document at `index` are running ones."""
    if not running.is_any or not _page_lines(lines):
        return []
    top, bottom = running.find((index, list(lines)))
    return top + bottom


def _page_lines(lines: Sequence[str]) -> list[str]:
    """Return the lines that may be those of a page, without empty ones."""
    lines = [line for line in lines if line.strip()]
    if any(line.strip() in MARKERS for line in lines):
        return []
    half = MAX_PAGE_LINES // 2
    return lines if len(lines) <= MAX_PAGE_LINES else lines[:half] + lines[-half:]


def _page_fraction(pattern: str, pages: Sequence[Page]) -> float:
    """Return on which fraction of the pages a line stands."""
    on = sum(any(line_pattern(line) == pattern for line in lines) for _, lines in pages)
    return on / len(pages)


def _reads_as_title(pattern: str) -> bool:
    first = pattern[:1]
    return (first == "©" or (first.isalnum() and not first.islower())) and pattern[-1] not in ":;{"
