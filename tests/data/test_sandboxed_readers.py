"""Foreign binary formats: real files are read; broken, hanging and huge ones are refused."""

from __future__ import annotations

import os
import sys
import time
import zipfile
import zlib
from pathlib import Path

import docx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from descend.data.document import Document
from descend.data.readers import read_file
from descend.data.readers.sandboxed import SandboxLimits, read_sandboxed
from descend.errors import CorpusError


def refusal(path: Path, kind: str = "", limits: SandboxLimits | None = None) -> CorpusError:
    with pytest.raises(CorpusError) as caught:
        list(
            read_sandboxed(kind, path, "the file", limits)
            if kind
            else read_file(path, name="the file")
        )
    assert caught.value.location == "the file"
    assert "\n" not in str(caught.value)
    return caught.value


def write_pdf(path: Path, pages: list[bytes], filters: bytes = b"") -> Path:
    """A PDF of the given content streams, written by hand."""
    kids = b" ".join(b"%d 0 R" % (4 + 2 * i) for i in range(len(pages)))
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[%s]/Count %d>>" % (kids, len(pages)),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    for i, content in enumerate(pages):
        objects.append(
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 300]/Contents %d 0 R"
            b"/Resources<</Font<</F 3 0 R>>>>>>" % (5 + 2 * i)
        )
        length = b"<</Length %d%s>>stream\n" % (len(content), filters)
        objects.append(length + content + b"\nendstream")
    data = b"%PDF-1.4\n"
    places = []
    for number, body in enumerate(objects, start=1):
        places.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(data)
    data += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    data += b"".join(b"%010d 00000 n \n" % place for place in places)
    data += b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n" % (len(objects) + 1, start)
    path.write_bytes(data + b"%%EOF")
    return path


def make_content_stream(*lines: str) -> bytes:
    moves = " 0 -20 Td ".join(f"({line}) Tj" for line in lines)
    return f"BT /F 12 Tf 20 250 Td {moves} ET".encode()


def write_epub(path: Path, chapters: dict[str, str], spine: list[str]) -> Path:
    items = "".join(
        f'<item id="{n}" href="{n}.xhtml" media-type="application/xhtml+xml"/>' for n in chapters
    )
    refs = "".join(f'<itemref idref="{n}"/>' for n in spine)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr(
            "META-INF/container.xml",
            '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
            '<rootfile full-path="OPS/book.opf"/></rootfiles></container>',
        )
        book.writestr(
            "OPS/book.opf",
            '<package xmlns="http://www.idpf.org/2007/opf"><manifest>'
            f"{items}</manifest><spine>{refs}</spine></package>",
        )
        for name, body in chapters.items():
            book.writestr(f"OPS/{name}.xhtml", f"<html><body>{body}</body></html>")
    return path


def test_pdf_pages_are_parts_of_one_document(tmp_path: Path) -> None:
    path = write_pdf(
        tmp_path / "a.pdf",
        [make_content_stream("The fox", "says hello."), make_content_stream("The end.")],
    )
    assert list(read_file(path, name="a book")) == [
        Document("The fox\nsays hello.\n\n", "a book", 0),
        Document("The end.\n\n", "a book", 1),
    ]


def test_pdf_without_text_or_damaged_is_refused(tmp_path: Path) -> None:
    assert "without text" in refusal(write_pdf(tmp_path / "a.pdf", [b"0 0 m 9 9 l S"])).actual
    (tmp_path / "b.pdf").write_bytes(b"%PDF-1.4\nnothing of the kind")
    assert "damaged" in refusal(tmp_path / "b.pdf").actual
    assert "no such file" in refusal(tmp_path / "missing.pdf").actual


def test_pdf_bomb_ends_at_the_memory_limit(tmp_path: Path) -> None:
    content = zlib.compress(zlib.compress(b"(x) Tj " * (30 << 20)))
    path = write_pdf(tmp_path / "a.pdf", [content], b"/Filter[/FlateDecode/FlateDecode]")
    assert path.stat().st_size < 1 << 20
    error = refusal(
        path, "pdf", SandboxLimits(max_megabytes=200, timeout_seconds=240, idle_timeout_seconds=240)
    )
    assert "over 200 MB to read" in error.actual


@pytest.mark.skipif(sys.platform == "win32", reason="no named pipes in the file system")
def test_sandboxed_parser_stops_a_hanging_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.docx")  # opening it waits for a writer that never comes
    began = time.monotonic()
    error = refusal(tmp_path / "a.docx", "docx", SandboxLimits(idle_timeout_seconds=1.0))
    assert "over 1 seconds" in error.actual
    assert time.monotonic() - began < 60


def test_sandboxed_parser_crash_raises_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A module of the child's own path that ends it as a fault in native code would.
    (tmp_path / "pypdfium2.py").write_text("import ctypes\nctypes.string_at(0)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    path = write_pdf(tmp_path / "a.pdf", [make_content_stream("The fox")])
    assert "crashes" in refusal(path).actual


def test_too_much_text_is_refused(tmp_path: Path) -> None:
    path = write_pdf(tmp_path / "a.pdf", [make_content_stream("The fox")] * 50)
    assert "over 100 characters" in refusal(path, "pdf", SandboxLimits(characters=100)).actual


def test_sandboxed_parser_ends_child_when_consumer_stops(tmp_path: Path) -> None:
    path = write_pdf(tmp_path / "a.pdf", [make_content_stream("The fox")] * 200)
    documents = read_file(path)
    assert next(documents).part_index == 0
    documents.close()  # type: ignore[attr-defined]


def test_docx_gives_paragraphs_tables_and_tracked_insertions(tmp_path: Path) -> None:
    file = docx.Document()
    file.add_heading("The Fox", level=1)
    paragraph = file.add_paragraph("It said ")
    paragraph.add_run("hello").bold = True
    inserted = paragraph.add_run("!")._r
    wrapper = inserted.makeelement(
        "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}ins", {}
    )
    inserted.getparent().replace(inserted, wrapper)
    wrapper.append(inserted)
    table = file.add_table(rows=1, cols=2)
    table.cell(0, 0).text, table.cell(0, 1).text = "one", "two"
    file.save(str(tmp_path / "a.docx"))
    assert paragraph.text == "It said hello"  # what python-docx itself would give
    assert list(read_file(tmp_path / "a.docx", name="a")) == [
        Document("The Fox\nIt said hello!\none\ntwo\n", "a")
    ]


def test_epub_follows_the_spine(tmp_path: Path) -> None:
    chapters = {"two": "<p>Then it left.</p>", "one": "<h1>Fox</h1><p>Once.</p>", "nav": "Menu"}
    path = write_epub(tmp_path / "a.epub", chapters, ["one", "two", "missing"])
    assert list(read_file(path, name="a")) == [Document("Fox\n\nOnce.\n\nThen it left.\n\n", "a")]


def test_zip_bombs_and_xml_bombs_are_refused(tmp_path: Path) -> None:
    bomb = tmp_path / "a.docx"
    with (
        zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("word/document.xml", "w") as entry,
    ):
        for _ in range(300):
            entry.write(b" " * (1 << 20))
    assert bomb.stat().st_size < 1 << 20
    assert "bytes" in refusal(bomb).actual
    lol = '<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;&b;">]><a>&c;</a>'
    with zipfile.ZipFile(tmp_path / "b.docx", "w") as archive:
        archive.writestr("word/document.xml", lol)
    assert "entity" in refusal(tmp_path / "b.docx").actual


@pytest.mark.parametrize("suffix", [".docx", ".epub", ".parquet"])
def test_damaged_archives_are_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"PK\x03\x04 and then nothing that makes sense")
    assert "damaged" in refusal(path).actual
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "text")
    refusal(path)


def test_parquet_reader_selects_the_text_column(tmp_path: Path) -> None:
    rows = 1000
    table = pa.table(
        {
            "id": list(range(rows)),
            "label": ["good"] * rows,
            "text": [f"The {i}th fox." if i % 3 else None for i in range(rows)],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=300)
    documents = list(read_file(tmp_path / "a.parquet", name="a"))
    assert [d.text for d in documents] == [f"The {i}th fox." for i in range(rows) if i % 3]
    assert documents[0].source == "a:2"
    pq.write_table(table.select(["id"]), tmp_path / "b.parquet")
    assert "no column of text" in refusal(tmp_path / "b.parquet").actual
