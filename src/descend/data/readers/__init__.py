"""Readers: a file of any known format becomes a stream of documents.

One table says which reader reads which suffix; a reader is a function from the bytes of a
file (in blocks), a name and options to documents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path, PurePath, PurePosixPath
from typing import BinaryIO

from descend.data.document import Document
from descend.data.readers import decompression, plain_text
from descend.data.readers.charset import Blocks
from descend.data.readers.decompression import opened_blocks
from descend.data.readers.delimited import read_csv, read_tsv
from descend.data.readers.html import read_html
from descend.data.readers.json_records import read_json, read_jsonl
from descend.data.readers.markup import read_subtitles, read_xml
from descend.data.readers.options import DEFAULT_OPTIONS, ReadOptions
from descend.data.readers.plain_text import read_plain
from descend.data.readers.sandboxed import foreign_reader, read_sandboxed
from descend.errors import CorpusError

Reader = Callable[[Blocks, str, ReadOptions], Iterator[Document]]

# Formats of text: read here, also when decompression.
READERS: dict[str, Reader] = {
    **dict.fromkeys(plain_text.SUFFIXES, read_plain),
    ".html": read_html,
    ".htm": read_html,
    ".xhtml": read_html,
    ".xml": read_xml,
    ".srt": read_subtitles,
    ".vtt": read_subtitles,
    ".json": read_json,
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".tab": read_tsv,
}
# Binary formats, and those of strangers: read in a child process, by the reader of that name.
SANDBOXED_FORMATS: dict[str, str] = {
    ".pdf": "pdf",
    ".docx": "docx",
    ".epub": "epub",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".ipynb": "ipynb",
    ".odt": "odt",
    ".rtf": "rtf",
    ".eml": "eml",
    ".mbox": "mbox",
    ".zip": "zip",
    ".tar": "tar",
    ".tgz": "tar",
    ".tar.gz": "tar",
    ".tar.bz2": "tar",
    ".tar.xz": "tar",
}
ARCHIVES = ("zip", "tar")
SUFFIXES: tuple[str, ...] = (
    *READERS,
    *SANDBOXED_FORMATS,
    *(inner + outer for inner in READERS for outer in decompression.SUFFIXES),
)
TEXT_SUFFIXES = frozenset(suffix for suffix in SUFFIXES if suffix not in SANDBOXED_FORMATS)


def has_known_suffix(path: PurePath) -> bool:
    """Return whether the end of the name says that this is a file we read."""
    *_, inner, outer = ["", "", *path.suffixes]
    return (inner + outer).lower() in SUFFIXES or outer.lower() in SUFFIXES


def has_suffix(path: PurePath) -> bool:
    """Return whether the name has a suffix that says what the file is. A number says nothing, as in
    `Apache-2.0` and `notes.1`."""
    return bool(path.suffix) and not path.suffix[1:].isdigit()


def foreign_kind(path: PurePath) -> str | None:
    """Return the format of a file that a child process parses; None for text."""
    *_, inner, outer = ["", "", *(suffix.lower() for suffix in path.suffixes)]
    return SANDBOXED_FORMATS.get(inner + outer) or SANDBOXED_FORMATS.get(outer)


def read_file(
    path: Path, *, name: str | None = None, options: ReadOptions = DEFAULT_OPTIONS
) -> Iterator[Document]:
    """Yield the documents of one file; `name` (default: the path) is their `source`.

    The suffix decides how it is read; a suffix that is not known is read as plain text.
    Every line ends with `\\n`, as in a file that Python opens as text. Raises `CorpusError` if the
    file cannot be read or is no text, possibly after having yielded the documents before the
    damage.
    """
    name = str(path) if name is None else name
    kind = foreign_kind(path)
    documents = (
        _read_text(path, lambda: path.open("rb"), name, options)
        if kind is None
        else read_sandboxed(kind, path, name, options=options)
    )
    yield from map(_with_newlines, documents)


def _with_newlines(document: Document) -> Document:
    """Return the document with `\\n` for `\\r\\n` and `\\r`; no part ends between these two."""
    if "\r" not in document.text:
        return document
    return replace(document, text=document.text.replace("\r\n", "\n").replace("\r", "\n"))


def read_member(
    entry: PurePosixPath, opener: Callable[[], BinaryIO], name: str, options: ReadOptions
) -> Iterator[Document]:
    """Yield the documents of a member of an archive, parsed in this process: for the child
    alone."""
    kind = foreign_kind(entry)
    if kind is not None:
        return foreign_reader(kind)(BytesIO(opener().read()), name, options)
    return _read_text(entry, opener, name, options)


def _read_text(
    path: PurePath, opener: Callable[[], BinaryIO], name: str, options: ReadOptions
) -> Iterator[Document]:
    suffix = path.suffix.lower()
    if suffix in decompression.SUFFIXES:
        suffix = PurePosixPath(path.stem).suffix.lower()
        if suffix in SANDBOXED_FORMATS:
            raise CorpusError(name, f"a compressed {suffix} file", "a plain one", "unpack it first")
    return READERS.get(suffix, read_plain)(opened_blocks(opener, path.suffix, name), name, options)
