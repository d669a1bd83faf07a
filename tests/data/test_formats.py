"""Formats that people have beside plain text: each gives its words, the manual lists each."""

from __future__ import annotations

import gzip
import io
import json
import re
import tarfile
import zipfile
from email.message import EmailMessage
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from descend.data.corpus import read_documents, resolve_corpus
from descend.data.readers import READERS, SANDBOXED_FORMATS, read_file
from descend.data.readers.options import ReadOptions
from descend.errors import CorpusError


def texts(path: Path, **options: Any) -> list[str]:
    return [document.text for document in read_file(path, options=ReadOptions(**options))]


def refusal(path: Path, **options: Any) -> CorpusError:
    with pytest.raises(CorpusError) as caught:
        texts(path, **options)
    assert "\n" not in str(caught.value)
    return caught.value


def mail(subject: str, said: str, kind: str = "plain") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@b.example", "c@d.example", subject
    message.set_content(said, subtype=kind)
    return message


def odt(content: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr(
            "content.xml",
            '<o:document-content xmlns:o="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
            'xmlns:t="urn:oasis:names:tc:opendocument:xmlns:text:1.0"><o:body><o:text>'
            f"{content}</o:text></o:body></o:document-content>",
        )
    return data.getvalue()


def test_the_manual_lists_the_formats_that_are_read() -> None:
    manual = (Path(__file__).parents[2] / "docs" / "train.md").read_text("utf-8")
    table = manual.partition("### Formats")[2].partition("### Encodings")[0]
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("| .")]
    listed = re.findall(r"\.[a-z0-9.]*[a-z0-9]", " ".join(rows))
    assert sorted(listed) == sorted({*READERS, *SANDBOXED_FORMATS})


def test_notebooks_give_text_and_code_without_outputs(tmp_path: Path) -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# Fox\n", "It runs."]},
        {"cell_type": "code", "source": "x = 1", "outputs": [{"text": "printed"}]},
        {"cell_type": "raw", "source": ""},
    ]
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps({"cells": cells, "nbformat": 4, "metadata": {"k": "python"}}))
    assert texts(path) == ["# Fox\nIt runs.\n\nx = 1\n"]
    path.write_text(json.dumps({"worksheets": [{"cells": [{"input": "y = 2"}]}]}))
    assert texts(path) == ["y = 2\n"]
    path.write_text("{}")
    assert "no cells" in refusal(path).actual


def test_rtf_gives_text_in_its_code_pages(tmp_path: Path) -> None:
    path = tmp_path / "a.rtf"
    path.write_bytes(
        rb"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0\fcharset0 Arial;}{\f1\fcharset204 Times;}}"
        rb"{\colortbl;\red0;}{\info{\author Me}}\f0 Hello \b bold\b0  caf\'e9 \u8364?uro\par"
        b"\r\n"
        rb"{\f1\'cf\'f0\'e8}\par{\*\generator X;}{\pict 00ff}a\{b\}\line\'93q\'94}"
    )
    assert texts(path) == ["Hello bold café €uro\nПри\na{b}\n“q”"]
    path.write_bytes(rb"{\rtf1\ansicpg932 \'82\'a0\'82\'a2}")
    assert texts(path) == ["あい"]
    path.write_bytes(b"plain")
    assert "no rtf" in refusal(path).actual


def test_odt_gives_paragraphs_without_comments(tmp_path: Path) -> None:
    (tmp_path / "a.odt").write_bytes(
        odt(
            "<t:tracked-changes><t:p>gone</t:p></t:tracked-changes><t:h>Title</t:h>\n  "
            '<t:p>One<t:s t:c="3"/>two <t:span>three</t:span> four<t:line-break/>five'
            "<o:annotation><t:p>remark</t:p></o:annotation></t:p>"
            "<t:list><t:list-item><t:p>item</t:p></t:list-item></t:list>"
        )
    )
    assert texts(tmp_path / "a.odt") == ["Title\nOne   two three four\nfive\nitem\n"]
    (tmp_path / "b.odt").write_bytes(b"PK nothing")
    assert "damaged" in refusal(tmp_path / "b.odt").actual


def test_mail_gives_subject_and_body(tmp_path: Path) -> None:
    first = mail("Grüße", "Hallo Welt, wie geht’s?\nFrom me.\n")
    first.add_attachment(b"secret", maintype="image", subtype="png", filename="x.png")
    second = mail("Page", "<p>Hi <b>you</b></p><script>x</script>", "html")
    (tmp_path / "a.eml").write_bytes(bytes(first))
    expected = ["Grüße\n\nHallo Welt, wie geht’s?\nFrom me.\n", "Page\n\nHi you\n"]
    assert texts(tmp_path / "a.eml") == expected[:1]
    box = b"".join(b"From x@y Mon Jan 1\n" + bytes(m) + b"\n" for m in (first, second))
    (tmp_path / "a.mbox").write_bytes(box)
    assert texts(tmp_path / "a.mbox") == expected
    unknown = b"From: a@b\nSubject: s\nContent-Type: text/plain; charset=x-none\n\ncaf\xe9 noir\n"
    (tmp_path / "b.eml").write_bytes(unknown)
    assert texts(tmp_path / "b.eml") == ["s\n\ncafé noir\n"]
    (tmp_path / "c.eml").write_bytes(b"no header here\n")
    assert "no message" in refusal(tmp_path / "c.eml").actual
    (tmp_path / "c.mbox").write_bytes(b"no header here\n")
    assert "no message" in refusal(tmp_path / "c.mbox").actual


MEMBERS = {
    "d/a.txt": b"hello there", "d/b.jsonl": b'{"text": "one"}\n{"text": "two"}\n',
    "c.odt": odt("<t:p>three</t:p>"), "pic.png": b"\x89PNG" * 50, "README": b"four",
    "__MACOSX/._a.txt": b"no", "in.zip": b"PK", "old.txt": "él está aquí".encode("cp1252"),
    "bad.json": b"{", "x.jsonl.gz": gzip.compress(b'{"text": "five"}\n'),
}  # fmt: skip
GIVEN = {"hello there", "one", "two", "three\n", "four", "él está aquí", "five"}


def test_archive_gives_text_members_whose_suffix_is_a_number(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("Apache-2.0", "a license")
        archive.writestr("libc.so.6", b"\x7fELF\0\0")
    assert texts(path) == ["a license"]


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz"])
def test_archives_give_their_members(
    suffix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in MEMBERS.items():
                archive.writestr(name, data)
    else:
        mode: Any = {".tar": "w", ".tar.bz2": "w:bz2", ".tar.xz": "w:xz"}.get(suffix, "w:gz")
        with tarfile.open(path, mode) as tape:
            for name, data in MEMBERS.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                tape.addfile(entry, io.BytesIO(data))
    assert set(texts(path)) == GIVEN
    assert "old.txt: not valid UTF-8, read as cp1252" in caplog.text
    assert "not read: 1 .png (32 % of the bytes), 1 .zip (under 1 %" in caplog.text
    assert "skipped" in caplog.text
    assert "bad.json" in caplog.text
    path.write_bytes(path.read_bytes()[:300])
    assert "damaged" in refusal(path).actual


@pytest.mark.slow
def test_an_archive_that_unpacks_without_end_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(5):
            with archive.open(f"{number}.bin", "w") as entry:
                for _ in range(256):
                    entry.write(bytes(1 << 20))
        archive.writestr("z.txt", "text")
    assert "bytes unpacked" in refusal(tmp_path / "a.zip").actual


def write_captions(path: Path, cues: list[list[str]]) -> Path:
    """A WebVTT file of these cues, a second each."""
    blocks = [
        f"00:00:{n:02}.000 --> 00:00:{n + 1:02}.000\n" + "\n".join(cue)
        for n, cue in enumerate(cues)
    ]
    path.write_text("\n\n".join(["WEBVTT", *blocks]) + "\n")
    return path


def test_rolling_captions_have_each_line_once(tmp_path: Path) -> None:
    said = [f"the {n}. boat left" for n in range(9)] + ["no", "no", "and was gone"]
    two_rows = [[a, b] for a, b in pairwise(said)]
    three_rows = [said[max(0, n - 2) : n + 1] for n in range(len(said))]
    painted = [cue for a, b in pairwise(said) for cue in ([a, f"<00:00:01.5><c>{b}</c>"], [b])]
    for cues in (two_rows, three_rows, painted):
        path = write_captions(tmp_path / "a.vtt", cues)
        assert texts(path) == ["".join(f"{row}\n" for row in said)]


def test_refrains_in_captions_stay(tmp_path: Path) -> None:
    song = [["La la"], ["La la"], ["The boat", "is gone"], ["is gone"], ["far"], ["La la"], ["Ah"]]
    path = write_captions(tmp_path / "a.vtt", song)
    assert texts(path) == ["".join(f"{row}\n" for cue in song for row in cue)]


def test_markup_of_subtitles_and_xml_is_removed(tmp_path: Path) -> None:
    (tmp_path / "a.srt").write_text(
        "\ufeff1\n00:00:01,000 --> 00:00:02,000\n<i>Hello</i> there.\n{\\an8}Second\n\n"
        "2\n00:00:03,000 --> 00:00:04,000\n- 42\n",
        "utf-8",
    )
    assert texts(tmp_path / "a.srt") == ["Hello there.\nSecond\n- 42\n"]
    (tmp_path / "a.vtt").write_text(
        "WEBVTT - T\n\nNOTE x\ny\n\nid1\n00:01.000 --> 00:02.000 align:start\n"
        "<v Bob>Hi &amp; bye\n\n"
        "00:03.000 --> 00:04.000\nAgain\n"
    )
    assert texts(tmp_path / "a.vtt") == ["Hi & bye\nAgain\n"]
    (tmp_path / "a.xml").write_text(
        '<?xml version="1.0"?><doc id="7"><!-- c > d --><page><title>Fox</title><id>12</id>'
        "<ts>2020-01-01T00:00:00Z</ts><p>He said <i>hello</i> &amp; left.</p>"
        "<code><![CDATA[a<b]]></code></page><url>https://x.example/z</url></doc>"
    )
    assert texts(tmp_path / "a.xml") == ["Fox\nHe said hello & left.\na<b\n"]
    (tmp_path / "b.xml").write_text('<!DOCTYPE a [<!ENTITY b "ha">]><a>&b;</a>')
    assert "entity" in refusal(tmp_path / "b.xml").actual


def write_arrow(path: Path, table: pa.Table, stream: bool = True) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    make = pa.ipc.new_stream if stream else pa.ipc.new_file
    with path.open("wb") as file, make(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=3)


@pytest.mark.parametrize("stream", [True, False])
def test_arrow_takes_the_column_of_text(stream: bool, tmp_path: Path) -> None:
    rows = [f"The {n}th fox said hello to the crow." for n in range(10)]
    pictures = pa.array([{"bytes": b"\xff", "path": "p"}] * 10)
    table = pa.table({"id": range(10), "story": rows, "image": pictures})
    write_arrow(tmp_path / "a.arrow", table, stream)
    assert texts(tmp_path / "a.arrow") == rows
    (tmp_path / "a.arrow").write_bytes(b"nothing of the kind")
    assert "damaged" in refusal(tmp_path / "a.arrow").actual


def test_a_saved_data_set_is_read_without_its_metadata(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    for split in ("train", "test"):
        folder = tmp_path / split
        write_arrow(folder / "data-00000-of-00001.arrow", pa.table({"text": [split, "more"]}))
        (folder / "dataset_info.json").write_text('{"description": "About it", "license": "x"}')
        (folder / "state.json").write_text('{"_fingerprint": "abc"}')
    source = resolve_corpus(str(tmp_path))
    assert [d.text for d in read_documents(source)] == ["test", "more", "train", "more"]
    assert source.warnings == ("splits test, train: all are read; --split chooses one",)
    one = resolve_corpus(str(tmp_path), options=ReadOptions(split="train"))
    assert [d.text for d in read_documents(one)] == ["train", "more"]
    with pytest.raises(CorpusError, match="its splits: test, train"):
        resolve_corpus(str(tmp_path), options=ReadOptions(split="validation"))


@pytest.mark.parametrize(
    ("name", "split"),
    [("data/train-00000-of-00002.parquet", "train"), ("dev.jsonl", "validation"),
     ("val/a.csv", "valid"), ("train_sft-00000.jsonl", "train_sft"), ("easy/a.jsonl", "easy")],
)  # fmt: skip
def test_a_split_is_named_by_file_or_folder(name: str, split: str, tmp_path: Path) -> None:
    for path in (tmp_path / name, tmp_path / "other" / "test.csv"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("text\nhello\n")
    source = resolve_corpus(str(tmp_path), options=ReadOptions(split=split))
    assert [path.relative_to(tmp_path).as_posix() for path in source.paths] == [name]


def test_columns_can_be_named(tmp_path: Path) -> None:
    rows = [{"text": "no", "title": f"T{n}", "data": {"body": f"B{n}"}} for n in range(3)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert texts(tmp_path / "a.jsonl", text_column="title, data.body") == [
        "T0\nB0", "T1\nB1", "T2\nB2"
    ]  # fmt: skip
    assert "its columns: text, title, data" in refusal(tmp_path / "a.jsonl", text_column="x").actual
    (tmp_path / "a.csv").write_text("n,mine,text\n1,a,no\n2,b,no\n")
    assert texts(tmp_path / "a.csv", text_column="mine") == ["a", "b"]
    assert "its columns: n, mine, text" in refusal(tmp_path / "a.csv", text_column="x").actual
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    assert texts(tmp_path / "a.parquet", text_column="data.body") == ["B0", "B1", "B2"]
    assert "no text under x" in refusal(tmp_path / "a.parquet", text_column="x").actual


@pytest.mark.parametrize("name", ["b.jsonl", "b.jsonl.gz"])
def test_read_documents_warns_of_the_unread_lines_when_a_line_is_broken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    line = json.dumps({"text": "x" * 87}) + "\n"
    content = (4 * line + "{" + 98 * "y" + "\n").encode()
    assert len(content) == 500
    whole = content if name.endswith("jsonl") else gzip.compress(content)
    (tmp_path / name).write_bytes(whole)
    (tmp_path / "a.txt").write_text("z" * (1000 - len(whole)))
    assert len(list(read_documents(resolve_corpus(str(tmp_path))))) == 5
    assert caplog.messages[0].startswith(f"skipped {name}, line 5")
    if whole is content:
        assert "line 5 to the end of the file (found" in caplog.messages[0]
        assert "; 10.0 % of the bytes)" in caplog.messages[0]
    else:  # where its lines end in the compressed bytes is not known
        assert f"; {len(whole) / 10:.1f} % of the bytes)" in caplog.messages[0]


def test_read_documents_warns_of_the_share_when_files_are_skipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.txt").write_text("x" * 500)
    for name in ("b.jsonl", "c.jsonl"):
        (tmp_path / name).write_text('{"a": ' + " " * 244)
    assert len(list(read_documents(resolve_corpus(str(tmp_path))))) == 1
    assert "25.0 % of the bytes" in caplog.messages[0]
    assert caplog.messages[-1] == "skipped 2 of 3 files, 50.0 % of the bytes"


@pytest.mark.parametrize(("table", "said"), [
    ("n,text\n1,a tree\n", "column text (setting: text_column)"),
    ("n,word,long,url\n1,a,the wind from the west is cold,http://x.org\n", "column long ("),
    ("1;the wind from the west is cold\n2;and so is the wind from the east\n", "column 2"),
    ("text\nthe wind from the west\n", None),
])  # fmt: skip
def test_table_says_which_columns_it_reads_when_it_leaves_some_out(
    table: str, said: str | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.csv").write_text(table)
    assert texts(tmp_path / "a.csv")
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == (said is not None)
    assert said is None or f"the text is taken from {said}" in messages[0]


WIND = "the wind from the west is cold"


@pytest.mark.parametrize(("record", "said"), [
    ({"text": WIND, "id": "9f86d081884c7d65"}, "column text (setting: text_column)"),
    ({"Body": WIND, "title": "a word", "n": 3}, "column Body (setting: text_column)"),
    ({"title": WIND, "abstract": WIND, "url": "http://x.org"}, "columns title, abstract ("),
    ({"text": WIND}, None),
    ({"question": WIND, "answer": WIND, "id": 3}, None),
])  # fmt: skip
@pytest.mark.parametrize("suffix", ["jsonl", "json", "parquet"])
def test_records_say_which_keys_are_read_when_some_are_left_out(
    record: dict[str, Any], said: str | None, suffix: str, tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    file = tmp_path / f"a.{suffix}"
    if suffix == "parquet":
        pq.write_table(pa.Table.from_pylist([record] * 3), file)
    else:
        lines = [json.dumps(record)] * 3
        file.write_text("\n".join(lines) if suffix == "jsonl" else f"[{','.join(lines)}]")
    assert texts(file)
    messages = [one.getMessage() for one in caplog.records]
    assert len(messages) == (said is not None)
    assert said is None or f"a.{suffix}: the text is taken from {said}" in messages[0]


def test_records_say_nothing_of_columns_when_these_were_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"title": WIND, "text": WIND}))
    assert texts(tmp_path / "a.jsonl", text_column="title") == [WIND]
    assert not caplog.records
