"""Jupyter notebooks: one file, one document, of its text and code without what the code printed.

Runs in the child process of `isolated`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from typing import Any

from descend.data.document import Document
from descend.data.readers.chunking import document_chunks
from descend.data.readers.options import ReadOptions, Source
from descend.errors import CorpusError


def read_ipynb(path: Source, name: str, options: ReadOptions) -> Iterator[Document]:
    """Yield the cells in order, an empty line between them. Raises `CorpusError` if it is none."""
    data = path.getvalue() if isinstance(path, BytesIO) else path.read_bytes()
    try:
        notebook: Any = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CorpusError(
            name, f"broken JSON ({error})", "a notebook", "save it again or remove it"
        ) from None
    cells = _cells(notebook)
    if cells is None:
        raise CorpusError(name, "no cells", "a notebook", "save it again or remove it")
    texts = (text.strip("\n") for text in map(_source, cells))
    yield from document_chunks(("\n\n".join(text for text in texts if text.strip()) + "\n",), name)


def _cells(notebook: Any) -> list[Any] | None:
    """Return the cells of a notebook; up to version 3 they stand in worksheets."""
    if not isinstance(notebook, dict):
        return None
    if isinstance(notebook.get("cells"), list):
        return list(notebook["cells"])
    sheets = notebook.get("worksheets")
    if not isinstance(sheets, list):
        return None
    return [cell for sheet in sheets if isinstance(sheet, dict) for cell in sheet.get("cells", ())]


def _source(cell: Any) -> str:
    source = cell.get("source", cell.get("input", "")) if isinstance(cell, dict) else ""
    if isinstance(source, list):
        source = "".join(line for line in source if isinstance(line, str))
    return source if isinstance(source, str) else ""
