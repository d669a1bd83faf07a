"""EPUB: one book, one document, a chapter a part, in the order of the book's spine.

Runs in the child process of `isolated`.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from urllib.parse import unquote
from xml.etree.ElementTree import Element
from zipfile import ZipFile

from descend.data.document import Document
from descend.data.readers.charset import Blocks, decode_blocks
from descend.data.readers.chunking import document_chunks
from descend.data.readers.html import html_text
from descend.data.readers.options import ReadOptions, Source
from descend.data.readers.zip_archive import archive_error, entry_bytes, entry_xml, open_archive

_PAGES = ("application/xhtml+xml", "text/html")


def read_epub(path: Source, name: str, options: ReadOptions) -> Iterator[Document]:
    """Yield the chapters as text. Raises `CorpusError` if it is no book or has none."""
    with open_archive(path, name, "epub") as archive:
        yield from document_chunks(_chapters(archive, name), name)


def _chapters(archive: ZipFile, name: str) -> Iterator[str]:
    container = entry_xml(archive, "META-INF/container.xml", name, "epub")
    book = next((e.get("full-path") for e in _all(container, "rootfile")), None)
    if not book:
        raise archive_error(name, "no book named in its container.xml", "epub")
    package = entry_xml(archive, book, name, "epub")
    pages = {
        item.get("id"): item.get("href", "")
        for item in _all(package, "item")
        if item.get("media-type") in _PAGES and "nav" not in item.get("properties", "").split()
    }
    present = set(archive.namelist())
    for reference in _all(package, "itemref"):
        href = pages.get(reference.get("idref"))
        if not href:
            continue
        # Only entries of the archive are looked up: a path that leads out of it is none.
        entry = posixpath.normpath(posixpath.join(posixpath.dirname(book), unquote(href)))
        if entry not in present:
            continue
        data = entry_bytes(archive, entry, name, "epub")
        text = html_text("".join(decode_blocks(_once(data), f"{name}, {entry}")))
        if text:
            yield text + "\n"


def _once(data: bytes) -> Blocks:
    return lambda: iter((data,))


def _all(root: Element, tag: str) -> Iterator[Element]:
    """Return all elements of that name, in whatever namespace."""
    return (element for element in root.iter() if element.tag.rpartition("}")[2] == tag)
