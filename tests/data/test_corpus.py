"""What a corpus is found to be, what is read from it, and how mistakes are reported."""

from __future__ import annotations

import io
import logging
import os
import shutil
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from descend.data import corpus
from descend.data.cache_dir import check_path
from descend.data.corpus import CorpusSource, read_documents, resolve_corpus
from descend.data.document import Document
from descend.errors import CorpusError


def make(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return folder


def refusal(corpus_dir: Path | str) -> CorpusError:
    with pytest.raises(CorpusError) as caught:
        list(read_documents(resolve_corpus(str(corpus_dir))))
    assert "\n" not in str(caught.value)
    return caught.value


def test_find_corpus_reads_text_whose_suffix_is_a_number(tmp_path: Path) -> None:
    (tmp_path / "Apache-2.0").write_text("a license")
    (tmp_path / "log.1").write_text("an older log")
    (tmp_path / "libc.so.6").write_bytes(b"\x7fELF\0\0")
    (tmp_path / "old.doc1").write_text("another format")
    source = resolve_corpus(str(tmp_path))
    assert [d.source for d in read_documents(source)] == ["Apache-2.0", "log.1"]
    assert source.warnings == ("not read: 1 .doc1 (34 % of the bytes), 1 .6 (15 % of the bytes)",)


def test_find_corpus_reads_supported_files_in_sorted_order(tmp_path: Path) -> None:
    make(tmp_path, b_txt="B", a__z_md="Z", c_exe="no", _hidden__d_txt="no")
    make(tmp_path, d_txt=" \n\t ", e_txt="")
    (tmp_path / "README").write_text("readme")
    (tmp_path / "data").write_bytes(b"\0\1\2")
    source = resolve_corpus(str(tmp_path))
    assert [(d.source, d.text) for d in read_documents(source)] == [
        ("README", "readme"), ("a/z.md", "Z"), ("b.txt", "B"),
    ]  # fmt: skip
    assert source.root == tmp_path
    assert list(source.paths) == sorted(source.paths)


def test_find_corpus_warns_about_skipped_files(tmp_path: Path) -> None:
    make(tmp_path, a_txt="A")
    assert resolve_corpus(str(tmp_path)).warnings == ()
    make(tmp_path, b_doc="old", b__c_jpg="x", b__d_jpg="y", e_txt="", _hidden_jpg="z")
    assert resolve_corpus(str(tmp_path)).warnings == (
        "not read: 1 .doc (50 % of the bytes), 2 .jpg (33 % of the bytes), 1 empty",
    )


def test_find_corpus_ignores_run_folders(tmp_path: Path, trained: Path) -> None:
    make(tmp_path, a_txt="A")
    shutil.copytree(trained, tmp_path / "models" / "one")
    shutil.copytree(trained, tmp_path / "models" / "two")
    # A file of that name is not enough: it may be anybody's.
    make(tmp_path, mine__run_json='{"text": "B"}')
    source = resolve_corpus(str(tmp_path))
    assert [d.text for d in read_documents(source)] == ["A", "B"]
    assert source.warnings == ("not read: 2 folders that descend wrote (models/one, models/two)",)
    assert "nothing but what descend wrote" in refusal(tmp_path / "models").actual
    alone = refusal(tmp_path / "models" / "one")
    assert alone.actual == "a run of descend"
    assert f"descend continue {tmp_path / 'models' / 'one'}" in alone.fix


def test_find_corpus_does_not_follow_cyclic_links(tmp_path: Path) -> None:
    make(tmp_path, a__b_txt="B")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    (tmp_path / "broken.txt").symlink_to(tmp_path / "nowhere")
    assert [d.text for d in read_documents(resolve_corpus(str(tmp_path)))] == ["B"]


def test_corpus_fingerprint_changes_only_with_files(tmp_path: Path) -> None:
    make(tmp_path, a_txt="one", b_txt="two")
    first = resolve_corpus(str(tmp_path)).fingerprint
    assert resolve_corpus(str(tmp_path)).fingerprint == first
    os.utime(tmp_path / "a.txt", ns=(1, 1))
    touched = resolve_corpus(str(tmp_path)).fingerprint
    (tmp_path / "b.txt").rename(tmp_path / "c.txt")
    assert len({first, touched, resolve_corpus(str(tmp_path)).fingerprint}) == 3


def test_missing_corpora_suggest_the_nearest(tmp_path: Path) -> None:
    make(tmp_path, texts__a_txt="A")
    assert str(tmp_path / "texts") in refusal(tmp_path / "text").fix
    assert "python" in refusal("pyton").fix
    assert "no such" in refusal(tmp_path / "texts" / "a.txt" / "b").actual


def test_empty_and_textless_corpora_are_named(tmp_path: Path) -> None:
    assert "an empty folder" in refusal(tmp_path).actual
    assert ".exe, .png" in refusal(make(tmp_path, b_exe="x", a_png="y")).actual
    make(tmp_path, a__empty_txt="", b__blank_txt=" \n")
    assert "an empty file" in refusal(tmp_path / "a" / "empty.txt").actual
    assert "no readable text" in refusal(tmp_path / "b" / "blank.txt").actual
    assert "no readable text" in refusal(tmp_path / "b").actual


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_unreadable_files_and_folders_are_named(tmp_path: Path) -> None:
    make(tmp_path, a_txt="A")
    (tmp_path / "a.txt").chmod(0)
    assert "permission" in refusal(tmp_path / "a.txt").actual


def test_find_corpus_reports_unopenable_path(tmp_path: Path) -> None:
    assert "name too long" in refusal(tmp_path / ("a" * 300)).actual


def test_unreadable_file_is_skipped_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make(tmp_path, a_txt="A", c_jsonl='{"text": "C"}\n{')
    (tmp_path / "b.pdf").write_bytes(b"no pdf")
    with caplog.at_level(logging.WARNING, "descend"):
        documents = list(read_documents(resolve_corpus(str(tmp_path))))
    assert [d.text for d in documents] == ["A", "C"]
    assert [m.split()[1].rstrip(",") for m in caplog.messages] == ["b.pdf", "c.jsonl", "2"]
    (tmp_path / "a.txt").unlink()
    (tmp_path / "c.jsonl").write_text("{")
    assert "no readable text" in refusal(tmp_path).actual


def test_find_corpus_ignores_file_deleted_during_listing(tmp_path: Path) -> None:
    make(tmp_path, a_txt="A", b_txt="B")

    def accept(path: Path) -> bool:
        (tmp_path / "b.txt").unlink(missing_ok=True)
        return True

    assert [p.name for p in resolve_corpus(str(tmp_path), accept).paths] == ["a.txt"]


def test_stdin_corpus_is_cached_by_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESCEND_CACHE_DIR", str(tmp_path))

    def given_input(data: bytes) -> CorpusSource:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        return resolve_corpus("-")

    one, same, other = given_input(b"A fox."), given_input(b"A fox."), given_input(b"A crow.")
    assert one == same != other
    assert one.is_stream_copy
    assert list(read_documents(one)) == [Document("A fox.", "standard input")]
    assert resolve_corpus("-") == other, "it is at its end: only the copy can be read again"
    with pytest.raises(CorpusError, match="nothing"):
        given_input(b"")


def test_stream_copy_is_read_from_the_cache_of_another_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_here(machine: str) -> str:
        monkeypatch.setenv("DESCEND_CACHE_DIR", str(tmp_path / machine))
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"A fox.")))
        return str(resolve_corpus("-").paths[0])

    copy = read_here("one")
    Path(copy).unlink()
    monkeypatch.setenv("DESCEND_CACHE_DIR", str(tmp_path / "two"))
    for refuse in (resolve_corpus, lambda path: check_path(path, tmp_path)):
        with pytest.raises(CorpusError, match="no such copy of a stream in the cache of this"):
            refuse(copy)
    other = read_here("two")
    check_path(copy, tmp_path)
    assert str(resolve_corpus(copy).paths[0]) == other
    assert resolve_corpus(copy).is_stream_copy


@pytest.mark.skipif(sys.platform == "win32", reason="no named pipes in the file system")
def test_pipe_corpus_is_read_once_and_cached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESCEND_CACHE_DIR", str(tmp_path))
    out, into = os.pipe()
    os.write(into, b"A fox.")
    os.close(into)
    source = resolve_corpus(f"/dev/fd/{out}")
    assert resolve_corpus(f"/dev/fd/{out}") == source
    os.close(out)
    assert [d.text for d in read_documents(source)] == ["A fox."]


def test_builtin_corpora_resolve_by_name_and_default() -> None:
    source = resolve_corpus(None)
    assert source.embedded == "python"
    assert source == resolve_corpus("python")
    assert source.fingerprint != resolve_corpus("stories").fingerprint
    assert next(read_documents(resolve_corpus("stories"))).text.strip()


def in_parts(documents: list[list[str]]) -> Iterator[Document]:
    for i, parts in enumerate(documents):
        yield from (Document(text, str(i), part) for part, text in enumerate(parts))


# Marks that compose with what stands before them, and what they compose with.
COMBINING = st.text(st.sampled_from("aeo\n\r \u0301\u0323\u0308\u1100\u1161\u11a8가東"))


@given(st.lists(st.lists(COMBINING, min_size=1)))
def test_nfc_of_parts_is_nfc_of_the_whole(documents: list[list[str]]) -> None:
    joined = dict.fromkeys((str(i) for i in range(len(documents))), "")
    for document in corpus._normalized(in_parts(documents)):
        joined[document.source] += document.text
    for i, parts in enumerate(documents):
        assert joined[str(i)] == unicodedata.normalize("NFC", "".join(parts))


@given(st.lists(st.lists(st.sampled_from(["", " ", "\n", "a", "b "]), min_size=1)))
def test_only_documents_without_text_are_dropped(documents: list[list[str]]) -> None:
    text_by_source: dict[str, str] = {}
    for document in corpus._drop_empty(in_parts(documents)):
        text_by_source[document.source] = text_by_source.get(document.source, "") + document.text
    whole = {str(i): "".join(parts) for i, parts in enumerate(documents)}
    assert text_by_source == {name: text for name, text in whole.items() if text.strip()}


def test_read_documents_normalizes_only_on_request(tmp_path: Path) -> None:
    make(tmp_path, a_txt="cafe\u0301")
    source = resolve_corpus(str(tmp_path))
    assert [d.text for d in read_documents(source)] == ["cafe\u0301"]
    assert [d.text for d in read_documents(source, normalize="nfc")] == ["café"]
