"""PDF through pdfium (pypdfium2): one file, one document, a page a part.

Runs in the child process of `isolated`: pdfium is native code.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from descend.data.document import Document
from descend.data.readers.options import ReadOptions, Source
from descend.data.readers.running_lines import (
    RunningLines,
    describe_running_lines,
    strip_running_lines,
)
from descend.errors import CorpusError


def read_pdf(path: Source, name: str, options: ReadOptions) -> Iterator[Document]:
    """Yield the pages with any text, each ended by an empty line, without running headers and page
    numbers.

    Raises `CorpusError` on a damaged or locked file, and on one without text (a scan).
    """
    import pypdfium2  # type: ignore[import-untyped]

    if isinstance(path, Path):
        with path.open("rb"):  # if it cannot be opened, the system says why; pdfium does not
            pass
    try:
        pdf = pypdfium2.PdfDocument(path if isinstance(path, Path) else path.getvalue())
    except pypdfium2.PdfiumError as error:
        locked = "password" in str(error).lower()
        raise CorpusError(
            name, "a PDF locked by a password" if locked else "a damaged or foreign file",
            "a PDF that can be opened", "unlock it or remove it",
        ) from None  # fmt: skip
    running, part = RunningLines(), 0
    for _, text in strip_running_lines(_page_texts(pdf), running):
        yield Document(text + "\n\n", name, part)
        part += 1
    if said := describe_running_lines(running.removed):
        logging.getLogger("descend").warning("%s: %s", name, said)
    if not part:
        raise CorpusError(
            name, "a PDF without text (pictures of pages)", "a PDF with text in it",
            "run text recognition (OCR) on it first, or remove it",
        )  # fmt: skip


def _page_texts(pdf: Any) -> Iterator[tuple[int, str]]:
    """Yield the pages with any text, each with its place."""
    for number in range(len(pdf)):
        page = pdf[number]
        text = page.get_textpage().get_text_range()
        # pdfium ends lines with \r\n, and writes U+FFFE where a word was hyphenated.
        text = text.replace("\r\n", "\n").replace("\ufffe", "").strip("\n")
        page.close()
        if text.strip():
            yield number, text
