"""Running headers, footers, and page numbers: lines that recur at the edges of most pages.

Only lines at the very top or bottom of a page are left out, from the edge inwards, and only if they
recur on most pages or on most left or right ones. A line with a number must repeat as it is, or its
number must count the pages: the last row of a table does neither. A line that also stands between
others as often is a refrain. Of each text the first is kept, since it may be a heading.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

WINDOW_PAGES = 64
"""Pages that are looked at together: a book is read part by part."""
MIN_PAGES = 5
"""Under so many pages with text, what recurs may be chance."""
MIN_LINES = 5
"""Lines of a page from which something is learned: a slide or a stanza has few."""
EDGE_LINES = 3
MIN_FRACTION, MIN_SIDE_FRACTION = 0.5, 0.8
"""Of all pages, and of all left or all right ones."""
MAX_INNER_FRACTION = 0.25
"""Of the times at an edge, that a line may stand elsewhere on a page."""
MIN_REPEATS = 3
"""Pages on which each text of a line with a number stands on average, unless it counts pages."""
MIN_COUNTED_FRACTION = 0.8
NUM_NAMED = 3
_PAGE_WORDS = """
    page pages p pg seite s página pág pagina pag strona str страница стр с sida side sid sivu oldal
    sayfa trang halaman hal blad bladzijde σελίδα стор сторінка of von de di из 页 頁
    第 쪽 ページ صفحة
"""
PAGE_WORDS = frozenset(_PAGE_WORDS.split())
"""Words beside a page number. Another single word may make it the title of a poem."""

_NUMBER = re.compile(r"\d+")
_ROMAN = re.compile(r"m{0,3}(?:c[md]|d?c{0,3})(?:x[cl]|l?x{0,3})(?:i[xv]|v?i{0,3})", re.IGNORECASE)
_ROMAN_VALUES = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100, "d": 500, "m": 1000}

Page = tuple[int, list[str]]
"""Its place among the pages, and its lines that are not empty."""


@dataclass
class RunningLines:
    """The running lines of the pages so far, and what of them was left out."""

    repeated: set[tuple[str, str]] = field(default_factory=set)
    """Edge and pattern of lines that repeat as they are."""
    counting: dict[tuple[str, str], set[int]] = field(default_factory=lambda: defaultdict(set))
    """Edge and pattern of lines with a page number: the number of the first page."""
    removed: Counter[str] = field(default_factory=Counter)
    """Texts that were left out, by how many pages; page numbers under an empty one."""
    _first_texts: set[str] = field(default_factory=set)

    @property
    def is_any(self) -> bool:
        """Return whether any running line is known."""
        return bool(self.repeated or self.counting)

    def learn(self, pages: Sequence[Page]) -> None:
        """Take up what recurs on `pages`."""
        pages = [page for page in pages if len(page[1]) >= MIN_LINES]
        if len(pages) < MIN_PAGES:
            return
        inner = Counter(
            line_pattern(line) for _, lines in pages for line in lines[EDGE_LINES:-EDGE_LINES]
        )
        texts: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
        for index, lines in pages:
            for edge, line in _edge_lines(lines):
                texts[edge, line_pattern(line)].append((index, line))
        for key, places in texts.items():
            if not _recurs_on_pages(places, pages):
                continue
            if inner[key[1]] > MAX_INNER_FRACTION * len(places):
                continue
            if len(places) >= MIN_REPEATS * len({text for _, text in places}):
                self.repeated.add(key)
            elif _may_hold_page_number(key[1]):
                self.counting[key] |= _first_numbers(places)

    def strip(self, page: Page) -> list[str]:
        """Return the lines of a page without its running lines; the first of each text stays."""
        _, lines = page
        top, bottom = self.find(page)
        top_lines = [line for at in top for line in self._leave_out(lines[at])]
        bottom_lines = [line for at in bottom for line in self._leave_out(lines[at])]
        first = top[-1] + 1 if top else 0
        return top_lines + lines[first : bottom[0] if bottom else None] + bottom_lines

    def find(self, page: Page) -> tuple[list[int], list[int]]:
        """Return which lines of a page are running ones, ascending: at its top, and at its bottom.

        Empty lines may stand before and between them.
        """
        index, lines = page
        numbers = [number for number, line in enumerate(lines) if line.strip()]
        top = list(takewhile(lambda at: self._is_running("top", lines[at], index), numbers))
        rest = reversed(numbers[len(top) :])
        bottom = list(takewhile(lambda at: self._is_running("bottom", lines[at], index), rest))
        return top, bottom[::-1]

    def _is_running(self, edge: str, line: str, index: int) -> bool:
        key = edge, line_pattern(line)
        return key in self.repeated or any(
            number - index in self.counting.get(key, ()) for number in _numbers(line)
        )

    def _leave_out(self, line: str) -> list[str]:
        """Count a line as left out, and return it if it is the first with its text."""
        text = line.strip()
        is_page_number = any(
            (edge, line_pattern(line)) in self.counting for edge in ("top", "bottom")
        )
        if not is_page_number and text not in self._first_texts:
            self._first_texts.add(text)
            return [line]
        self.removed["" if is_page_number else text] += 1
        return []


def strip_running_lines(
    texts: Iterable[tuple[int, str]], running: RunningLines
) -> Iterator[tuple[int, str]]:
    """Yield the texts of pages without their running lines, which `running` then tells."""
    window: list[tuple[int, str]] = []
    for page in texts:
        window.append(page)
        if len(window) == WINDOW_PAGES:
            yield from _strip_window(window, running)
            window = []
    yield from _strip_window(window, running)


def describe_running_lines(removed: Counter[str]) -> str | None:
    """Return what was left out, the most frequent first; None if nothing was."""
    if not removed:
        return None
    named = [
        f'"{text[:60]}" ({count} times)' if text else f"page numbers ({count})"
        for text, count in removed.most_common(NUM_NAMED)
    ]
    more = len(removed) - len(named)
    others = f", and {more} more" if more > 0 else ""
    return f"left out lines that recur at the top or bottom of pages: {', '.join(named)}{others}"


def _strip_window(
    window: list[tuple[int, str]], running: RunningLines
) -> Iterator[tuple[int, str]]:
    running.learn([(index, _lines(text)) for index, text in window])
    for index, text in window:
        if not running.is_any:
            yield index, text
            continue
        rest = running.strip((index, text.split("\n")))
        if stripped := "\n".join(rest).strip("\n"):
            yield index, stripped


def _lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.strip()]


def _edge_lines(lines: list[str]) -> set[tuple[str, str]]:
    """Return the lines at the top and at the bottom of a page, each with its edge."""
    return {("top", line) for line in lines[:EDGE_LINES]} | {
        ("bottom", line) for line in lines[-EDGE_LINES:]
    }


def _recurs_on_pages(places: list[tuple[int, str]], pages: Sequence[Page]) -> bool:
    on_pages = {index for index, _ in places}
    if len(on_pages) < MIN_PAGES - 1:
        return False
    if len(on_pages) > MIN_FRACTION * len(pages):
        return True
    for side in (0, 1):
        own = [index for index, _ in pages if index % 2 == side]
        on_side = sum(index in on_pages for index in own)
        if own and on_side == len(on_pages) and on_side >= MIN_SIDE_FRACTION * len(own):
            return True
    return False


def line_pattern(line: str) -> str:
    """Return a line with `#` for its numbers."""
    line = " ".join(line.split())
    bare = line.strip(" -–—.[]()|")
    if bare and _ROMAN.fullmatch(bare):
        return line.replace(bare, "#")
    return _NUMBER.sub("#", line)


def _numbers(line: str) -> list[int]:
    bare = line.strip(" -–—.[]()|\t")
    if bare and _ROMAN.fullmatch(bare):
        values = [_ROMAN_VALUES[letter] for letter in bare.lower()]
        return [
            sum(
                -value if any(value < later for later in values[n + 1 : n + 2]) else value
                for n, value in enumerate(values)
            )
        ]
    return [int(number) for number in _NUMBER.findall(line) if len(number) <= 6]


def _may_hold_page_number(pattern: str) -> bool:
    """Return whether the words beside a number may stand beside that of a page: none, words for a
    page, or a title of several words."""
    words = [word.lower() for word in re.findall(r"[^\W\d_]+", pattern)]
    return len(words) != 1 or words[0] in PAGE_WORDS


def _first_numbers(places: list[tuple[int, str]]) -> set[int]:
    """Return the numbers of the first page by which a line counts the pages; none if it does
    not."""
    offsets = Counter(number - index for index, text in places for number in set(_numbers(text)))
    usual = {offset for offset, count in offsets.items() if count >= MIN_REPEATS}
    counted = sum(
        any(number - index in usual for number in _numbers(text)) for index, text in places
    )
    return usual if counted >= MIN_COUNTED_FRACTION * len(places) else set()
