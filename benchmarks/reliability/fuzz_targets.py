"""What reads bytes from outside: for each a function that may refuse them with a sentence alone.

    python benchmarks/reliability/fuzz_targets.py NAME FOLDER [option of libFuzzer …]
    python benchmarks/reliability/fuzz_targets.py NAME --replay FILE

The first form fuzzes one of `TARGETS` with atheris, guided by coverage, from the seeds in FOLDER.
The second gives one input to the reader as a user meets it, with its child process and limits.
"""

from __future__ import annotations

import gzip
import io
import itertools
import os
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

MAX_DOCUMENTS = 1000
"""Documents that are taken of one input: a reader makes them one by one."""

WORDS = "A plain text of words, which goes on. <p>It has 12 lines &amp; more.</p>\n"


class Target(NamedTuple):
    """How an input is read in this process, how by a user, and inputs that are in order."""

    read: Callable[[bytes], object]
    replay: Callable[[bytes], object]
    seeds: tuple[bytes, ...]


def text_file(suffix: str, *seeds: bytes) -> Target:
    """A reader of text, which parses in the process of the user."""

    def read(content: bytes) -> None:
        from descend.data import readers
        from descend.data.readers.options import DEFAULT_OPTIONS

        path = Path(f"text{suffix}")
        assert readers.foreign_kind(path) is None
        blocks = readers.opened_blocks(lambda: io.BytesIO(content), path.suffix, path.name)
        reader = readers._text_reader(path, path.name)
        list(itertools.islice(reader(blocks, path.name, DEFAULT_OPTIONS), MAX_DOCUMENTS))

    return Target(refused(read), refused(replay_file(suffix)), seeds)


def foreign_file(
    kind: str, *seeds: bytes, pack: Callable[[bytes], bytes] = lambda content: content
) -> Target:
    """A reader that parses in a limited child, in which any error becomes a sentence.

    `pack` makes a file of an input: what is changed is inside an archive then.
    """

    def read(content: bytes) -> None:
        from descend.data.readers.options import DEFAULT_OPTIONS
        from descend.data.readers.sandboxed import foreign_reader

        try:
            documents = foreign_reader(kind)(io.BytesIO(pack(content)), "text", DEFAULT_OPTIONS)
            list(itertools.islice(documents, MAX_DOCUMENTS))
        except Exception:
            return

    replay = replay_file(f".{kind}")
    return Target(read, refused(lambda content: replay(pack(content))), seeds)


def replay_file(suffix: str) -> Callable[[bytes], object]:
    """Read a file of that suffix as `descend train` does."""

    def read(content: bytes) -> None:
        from descend.data.readers import read_file

        list(itertools.islice(read_file(as_file(suffix, content)), MAX_DOCUMENTS))

    return read


def as_file(name: str, content: bytes) -> Path:
    """A file of that content, in a folder of this process."""
    path = Path(tempfile.gettempdir()) / f"fuzz-{os.getpid()}" / f"input{name}"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


def refused(read: Callable[[bytes], object]) -> Callable[[bytes], object]:
    """`read`, which may end with an error of descend."""

    def try_to_read(content: bytes) -> None:
        from descend.errors import DescendError

        try:
            read(content)
        except DescendError as problem:
            str(problem)

    return try_to_read


def own_file(suffix: str, read: Callable[[Path], object], *seeds: bytes) -> Target:
    """A reader that takes a path."""
    wrapped = refused(lambda content: read(as_file(suffix, content)))
    return Target(wrapped, wrapped, seeds)


def read_config(path: Path) -> None:
    from descend.config import make_config
    from descend.config_sources import load_config_file

    make_config(load_config_file(path))


def read_log(path: Path) -> None:
    from descend.loss_logs.read_log import read_log as read

    read(path)


def read_record(name: str) -> Callable[[bytes], object]:
    """Read a record of a run folder."""

    def read(content: bytes) -> None:
        from descend.runs.event_log import read_events
        from descend.runs.run_files import read_info
        from descend.runs.run_folder import read_summary

        path = as_file("", content)
        path.replace(path.with_name(name))
        {"run.json": read_info, "summary.json": read_summary,
         "events.jsonl": read_events}[name](path.parent)  # fmt: skip

    return read


def record(name: str, *seeds: bytes) -> Target:
    wrapped = refused(read_record(name))
    return Target(wrapped, wrapped, seeds)


def check_tokenizer(content: bytes) -> None:
    from descend.data.tokenizer_check import check_tokenizer as check

    try:
        check(content)
    except ValueError:  # msgspec.DecodeError is one
        return


def parse_tokenizer(content: bytes) -> None:
    from descend.data.tokenizer import parse_tokenizer as parse

    parse(content, "input").encode("words")


def check_header(content: bytes) -> None:
    from descend.model.header_child import check_tensors as check

    try:
        check(content)
    except ValueError:
        return


def check_weights(content: bytes) -> None:
    from descend.model.header import check_header as check

    try:
        check(len(content).to_bytes(8, "little") + content)
    except ValueError:
        return


def packed(**members: bytes) -> bytes:
    """A zip archive; `__` in a name is a slash, and `_` a dot."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), text)
    return content.getvalue()


def tarred(content: bytes) -> bytes:
    """A tar archive of one text."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        member = tarfile.TarInfo("a.txt")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return whole.getvalue()


def parquet_of(*texts: str) -> bytes:
    import pyarrow
    import pyarrow.parquet

    whole = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"text": list(texts)}), whole)
    return whole.getvalue()


PLAIN = WORDS.encode() * 3
CONTAINER = (b'<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
             b'<rootfile full-path="b.opf"/></rootfiles></container>')  # fmt: skip
OPF = (b'<package xmlns="http://www.idpf.org/2007/opf"><manifest><item id="c" href="c.xhtml" '
       b'media-type="application/xhtml+xml"/></manifest><spine><itemref idref="c"/></spine>'
       b"</package>")  # fmt: skip
WORD = (b'<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">'
        b"<w:body><w:p><w:r><w:t>words</w:t><w:tab/></w:r></w:p></w:body>"
        b"</w:document>")  # fmt: skip
ODT = (b'<o:document-content xmlns:o="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
       b'xmlns:t="urn:oasis:names:tc:opendocument:xmlns:text:1.0"><o:body><o:text><t:p>words'
       b'<t:s t:c="3"/></t:p></o:text></o:body></o:document-content>')  # fmt: skip
MAIL = (b"From: a@b.c\nSubject: =?utf-8?q?words?=\nMIME-Version: 1.0\nContent-Type: "
        b'multipart/mixed; boundary="b"\n\n--b\nContent-Type: text/html; charset=utf-8\n'
        b"Content-Transfer-Encoding: quoted-printable\n\n<p>words=20words</p>\n"
        b"--b--\n")  # fmt: skip
PDF = (b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[4 0 R]"
       b"/Count 1>>endobj 3 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj 4 0 obj"
       b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Contents 5 0 R/Resources<</Font<</F 3 0 R>>"
       b">>>>endobj 5 0 obj<</Length 40>>stream\nBT /F 12 Tf 20 50 Td (words words) Tj ET     "
       b"\nendstream endobj\ntrailer<</Size 6/Root 1 0 R>>\n%%EOF")  # fmt: skip
NOTEBOOK = (b'{"cells": [{"cell_type": "code", "source": ["x = 1\\n"]}, {"cell_type": "markdown", '
            b'"source": "words"}], "nbformat": 4, "metadata": {}}')  # fmt: skip
RECORDS = b'{"text": "words words", "id": 1}\n{"messages": [{"role": "user", "content": "x"}]}\n'
CHAT = b"[31/12/2024, 23:59:59] Ann: words\n[01/01/2025, 00:00:01] Bob: more words\n" * 5
CONSOLE = b"".join(b"step %d/100 | loss %.3f | lr 1e-3 | 12.1 tok/s\n" % (n, 5 - n / 50)
                   for n in range(30))  # fmt: skip
EVENTS = b'{"kind":"training_started","step":0,"at":"now"}\n{"kind":"step","step":1,"loss":5.5}\n'
TOKENIZER = (b'{"version":"1.0","truncation":null,"padding":null,"added_tokens":[],"normalizer":'
             b'{"type":"NFC"},"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},'
             b'"decoder":{"type":"ByteLevel"},"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},'
             b'"merges":[["a","b"]]}}')  # fmt: skip

TARGETS: dict[str, Target] = {
    "plain text": text_file(
        ".txt", PLAIN, CHAT, "wörds".encode("utf-16"), "слова".encode("cp1251")),
    "HTML": text_file(".html", b"<!doctype html><title>t</title>" + PLAIN),
    "XML": text_file(".xml", b"<?xml version='1.0'?><a b='c'><![CDATA[words]]>words</a>"),
    "subtitles": text_file(".srt", b"1\n00:00:01,000 --> 00:00:02,000\nwords\n\n" * 3),
    "JSON": text_file(".json", b'[{"text": "words"}]', b'{"data": {"rows": [{"a": "words"}]}}'),
    "JSON lines": text_file(".jsonl", RECORDS),
    "CSV": text_file(".csv", b'text,n\n"words, words",1\nwords,2\n'),
    "TSV": text_file(".tsv", b"text\tn\nwords\t1\n"),
    "gzip": text_file(".txt.gz", gzip.compress(PLAIN)),
    "Zstandard": text_file(".txt.zst", b"\x28\xb5\x2f\xfd\x00\x00\x29\x00\x00words"),
    "PDF": foreign_file("pdf", PDF),
    "DOCX": foreign_file("docx", WORD, pack=lambda c: packed(word__document_xml=c)),
    "EPUB": foreign_file("epub", OPF, pack=lambda c: packed(
        **{"META-INF__container_xml": CONTAINER}, b_opf=c, c_xhtml=PLAIN)),
    "ODT": foreign_file("odt", ODT, pack=lambda c: packed(content_xml=c)),
    "RTF": foreign_file("rtf", b"{\\rtf1\\ansi\\deff0{\\fonttbl{\\f0 A;}}words\\par \\'e4\\u228?}"),
    "mail": foreign_file("eml", MAIL),
    "mailbox": foreign_file("mbox", b"From a@b Mon Jan  1 00:00:00 2024\n" + MAIL),
    "notebook": foreign_file("ipynb", NOTEBOOK),
    "Parquet": foreign_file("parquet", parquet_of("words", "more")),
    "zip": foreign_file("zip", packed(a_txt=PLAIN, b_jsonl=RECORDS)),
    "tar": foreign_file("tar", tarred(PLAIN)),
    "TOML": own_file(".toml", read_config, b"batch_size = 4\nlearning_rate = 0.1\n[x]\ny = 1\n"),
    "YAML": own_file(".yaml", read_config, b"batch_size: 4\nx: [1, {a: b}]\n"),
    "JSON of keys": own_file(".json", read_config, b'{"batch_size": 4, "preset": "tiny"}'),
    "console output": own_file(".log", read_log, CONSOLE),
    "a CSV of losses": own_file(".csv", read_log, b"step,loss\n1,5.5\n2,5.4\n3,5.3\n4,nan\n"),
    "JSON of losses": own_file(".json", read_log, b'{"log_history": [{"step": 1, "loss": 5.5}]}'),
    "run.json": record("run.json", b'{"schema_version": 1, "corpus": {}}'),
    "summary.json": record("summary.json", b'{"epochs": [], "validation_loss": 1.5}'),
    "events.jsonl": record("events.jsonl", EVENTS),
    "tokenizer.json": Target(check_tokenizer, refused(parse_tokenizer), (TOKENIZER,)),
    "header of weights": Target(check_header, check_weights, (
        b'{"a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},"__metadata__":{"a":"b"}}',)),
}  # fmt: skip


def main() -> None:
    name, place, *options = sys.argv[1:]
    if place == "--replay":
        TARGETS[name].replay(Path(options[0]).read_bytes())
        return
    import atheris

    with atheris.instrument_imports(include=["descend"], enable_loader_override=False):
        import descend.config
        import descend.config_sources
        import descend.data.readers
        import descend.data.tokenizer_check
        import descend.loss_logs.read_log
        import descend.model.header_child
        import descend.runs.event_log
        import descend.runs.run_folder  # noqa: F401
    for target in TARGETS[name].seeds:  # what a reader imports when it is used
        with atheris.instrument_imports(include=["descend"], enable_loader_override=False):
            TARGETS[name].read(target)
    atheris.Setup([sys.argv[0], place, *options], TARGETS[name].read)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
