"""Readers: a file of any known format becomes a stream of documents.

One table says which reader reads which suffix; a reader is a function from the bytes of a
file (in blocks) and a name to documents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from descend.errors import CorpusError
from descend.text.document import Document
from descend.text.readers import compressed, plain
from descend.text.readers.compressed import file_blocks
from descend.text.readers.encoding import Blocks
from descend.text.readers.html import read_html
from descend.text.readers.isolated import read_isolated
from descend.text.readers.json import read_json, read_jsonl
from descend.text.readers.plain import read_plain
from descend.text.readers.tables import read_csv, read_tsv

Reader = Callable[[Blocks, str], Iterator[Document]]

# Formats of text: read here, also when compressed.
READERS: dict[str, Reader] = {
    **dict.fromkeys(plain.SUFFIXES, read_plain),
    ".html": read_html,
    ".htm": read_html,
    ".xhtml": read_html,
    ".json": read_json,
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".tab": read_tsv,
}
# Binary formats: read in a child process, by the reader of that name.
FOREIGN: dict[str, str] = {
    ".pdf": "pdf",
    ".docx": "docx",
    ".epub": "epub",
    ".parquet": "parquet",
}
SUFFIXES: tuple[str, ...] = (
    *READERS,
    *FOREIGN,
    *(inner + outer for inner in READERS for outer in compressed.SUFFIXES),
)


def is_known(path: Path) -> bool:
    """Whether the end of the name says that this is a file we read."""
    *_, inner, outer = ["", "", *path.suffixes]
    return (inner + outer).lower() in SUFFIXES or outer.lower() in SUFFIXES


def read(path: Path, *, name: str | None = None) -> Iterator[Document]:
    """The documents of one file; `name` (default: the path) is their `source`.

    The suffix decides how it is read; a suffix that is not known is read as plain text.
    Raises `CorpusError` if the file cannot be read or is no text, possibly after having
    yielded the documents before the damage.
    """
    name = str(path) if name is None else name
    suffix = path.suffix.lower()
    if suffix in FOREIGN:
        yield from read_isolated(FOREIGN[suffix], path, name)
        return
    if suffix in compressed.SUFFIXES:
        suffix = Path(path.stem).suffix.lower()
        if suffix in FOREIGN:
            raise CorpusError(name, f"a compressed {suffix} file", "a plain one", "unpack it first")
    yield from READERS.get(suffix, read_plain)(file_blocks(path, name), name)
