"""Word's docx: one file, one document, a paragraph a line.

Our own forty lines instead of python-docx: its `paragraph.text` leaves out tracked
insertions and content controls, and for text all its lxml is not needed (see the tests,
where python-docx writes the files). Runs in the child process of `isolated`.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from descend.data.document import Document
from descend.data.readers.chunking import document_chunks
from descend.data.readers.options import ReadOptions, Source
from descend.data.readers.zip_archive import entry_xml, open_archive

# The same elements in the two forms of the standard (ECMA/transitional, ISO/strict).
_NAMESPACES = (
    "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}",
    "{http://purl.oclc.org/ooxml/wordprocessingml/main}",
)
# Office writes some text twice, in a new and an old form: the old form is left out.
_OLD_FORM = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"


def read_docx(path: Source, name: str, options: ReadOptions) -> Iterator[Document]:
    """Yield the text of the body, then footnotes and endnotes. Raises `CorpusError` if damaged."""
    with open_archive(path, name, "docx") as archive:
        entries = ["word/document.xml"]
        present = set(archive.namelist())
        entries += [e for e in ("word/footnotes.xml", "word/endnotes.xml") if e in present]
        texts = ["".join(_text_chunks(entry_xml(archive, e, name, "docx"))) for e in entries]
    yield from document_chunks(("\n".join(texts),), name)


def _text_chunks(root: Element) -> Iterator[str]:
    """Yield texts and line ends in order; with a stack, since files may nest deeply."""
    waiting: list[Element | str] = [root]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
            continue
        tag = next((item.tag[len(n) :] for n in _NAMESPACES if item.tag.startswith(n)), "")
        if tag == "t":
            yield item.text or ""
        elif tag in ("tab", "br", "cr"):
            yield "\t" if tag == "tab" else "\n"
        elif tag == "noBreakHyphen":
            yield "-"
        elif item.tag != _OLD_FORM and tag not in ("pPr", "rPr", "tblPr"):
            if tag == "p":
                waiting.append("\n")
            waiting.extend(reversed(item))
