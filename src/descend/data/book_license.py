"""Leave out the license that Project Gutenberg prints around each of its books.

The license below a book has 19 kB. Of a book of 450 kB it would be nearly half of the validation
set, which is the end of the text.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator

from descend.data.document import Document, group_parts

_START = re.compile(
    r"^[ \t]*(?:\*{3} ?START OF TH(?:E|IS) PROJECT GUTENBERG EBOOK\b[^*]{0,400}\*{3}"
    r"|\*END ?\*? ?THE SMALL PRINT! FOR PUBLIC DOMAIN [^\n]*)\s*",
    re.IGNORECASE | re.MULTILINE,
)
# The line above a book: as it is today, and as it was before 2004.

_END = re.compile(
    r"^[ \t]*(?:\*{3} ?END OF TH(?:E|IS) PROJECT GUTENBERG EBOOK\b"
    r"|End of (?:the |this )?Project Gutenberg(?:['’]s| EBook| Etext)\b)",
    re.IGNORECASE | re.MULTILINE,
)
# The line below a book.

MAX_HEADER_CHARS = 32_768
"""The line above a book is looked for this near to the beginning. The longest headers, those before
2004, have about 12,000 characters."""

MAX_LICENSE_CHARS = 65_536
"""What follows the line below a book is text if it is longer. The license has about 19,000
characters."""


def drop_book_licenses(documents: Iterator[Document]) -> Iterator[Document]:
    """Yield the documents without the headers and licenses of Project Gutenberg.

    Logs one warning at the end if there were any. A document of nothing else is left out.
    """
    num_books = num_characters = 0
    for parts in group_parts(documents):
        book = _Book()
        for index, part in enumerate(book.divide(parts)):
            yield Document(part.text, part.source, index)
        num_books += book.num_books
        num_characters += book.num_characters
    if num_books:
        books = "a book" if num_books == 1 else f"{num_books:,} books"
        logging.getLogger("descend").warning(
            "%s of Project Gutenberg, read without the license (%s characters)",
            books, f"{num_characters:,}",
        )  # fmt: skip


class _Book:
    """What was left out of one document, or of several books joined to one."""

    num_books = 0
    num_characters = 0

    def divide(self, parts: Iterable[Document]) -> Iterator[Document]:
        """Yield what each part has of the book, if anything."""
        waiting, source = "", ""
        for part in parts:
            text, source = waiting + part.text, part.source
            if part.part_index == 0:
                text = text[self._header_end(text) :]
            text, waiting = self._divide_text(text)
            if text:
                yield Document(text, source)
        self.num_characters += len(waiting)
        self.num_books = max(self.num_books + bool(waiting), bool(self.num_characters))

    def _header_end(self, text: str) -> int:
        start = _START.search(text[:MAX_HEADER_CHARS])
        header = text[: start.start()].strip() if start else ""
        if start is None or (header and "project gutenberg" not in header.lower()):
            return 0
        self.num_characters += start.end()
        return start.end()

    def _divide_text(self, text: str) -> tuple[str, str]:
        """Return the text to keep, and the end that is a license if the document ends there."""
        book_text = []
        while end := _END.search(text):
            book_text.append(text[: end.start()])
            rest = text[end.start() :]
            next_book = _START.search(rest[: MAX_LICENSE_CHARS + MAX_HEADER_CHARS])
            if next_book is not None:
                self.num_books += 1
                self.num_characters += next_book.end()
                text = rest[next_book.end() :]
            elif len(rest) <= MAX_LICENSE_CHARS:
                return "".join(book_text), rest
            else:  # only quoted
                book_text.append(end.group())
                text = rest[len(end.group()) :]
        return "".join(book_text) + text, ""
