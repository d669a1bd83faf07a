"""OpenDocument text: one file, one document, a paragraph a line.

Runs in the child process of `isolated`.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from descend.data.document import Document
from descend.data.readers.chunking import document_chunks
from descend.data.readers.options import ReadOptions, Source
from descend.data.readers.zip_archive import archive_error, entry_xml, open_archive

_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
# What was deleted, what was remarked, and lists of contents made from the headings.
_DROPPED = frozenset(
    (_TEXT + "tracked-changes", _OFFICE + "annotation", _TEXT + "table-of-content",
     _TEXT + "note-citation", _OFFICE + "forms")
)  # fmt: skip
_MAX_SPACES = 1000


def read_odt(path: Source, name: str, options: ReadOptions) -> Iterator[Document]:
    """Yield the text of the body with its footnotes. Raises `CorpusError` if damaged or locked."""
    with open_archive(path, name, "odt") as archive:
        root = entry_xml(archive, "content.xml", name, "odt")
    body = root.find(f"{_OFFICE}body/{_OFFICE}text")
    if body is None:
        raise archive_error(name, "no text in its content.xml", "odt")
    yield from document_chunks(("".join(_pieces(body)),), name)


def _pieces(root: Element) -> Iterator[str]:
    """Yield texts and line ends in order; with a stack, since files may nest deeply."""
    waiting: list[Element | str] = [root]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
            continue
        tag = item.tag.removeprefix(_TEXT)
        if item.tag in _DROPPED:
            continue
        if tag == "s":
            spaces = item.get(_TEXT + "c", "1")
            yield " " * (min(int(spaces), _MAX_SPACES) if spaces.isdecimal() else 1)
        elif tag in ("tab", "line-break"):
            yield "\t" if tag == "tab" else "\n"
        if tag in ("p", "h"):
            waiting.append("\n")
        for child in reversed(item):
            # White space around elements that hold no text themselves is layout.
            if child.tail and (tag in ("p", "h", "span", "a") or child.tail.strip()):
                waiting.append(child.tail)
            waiting.append(child)
        if item.text and (tag in ("p", "h", "span", "a") or item.text.strip()):
            yield item.text
