"""Gathering makes a corpus of just the files, pieces and originals that were requested."""

from __future__ import annotations

import json
import logging
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from descend.cli.main import run as command_line
from descend.data.contamination.duplicate_documents import (
    find_exact_duplicates,
    find_near_duplicates,
)
from descend.data.corpus import read_documents, resolve_corpus
from descend.data.corpus_builder import CorpusBuildSummary, _chunks, build_corpus
from descend.errors import ConfigError, CorpusError, DiskWriteError

PARAGRAPH = "The fox said hello to the crow, who sat in a tree with a piece of cheese and ate. " * 4


@pytest.fixture
def src(tmp_path: Path) -> Path:
    folder = tmp_path / "src"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.py").write_text("x = 1\n\ny = 2\n")
    (folder / "b.md").write_text("# Fox\n")
    (folder / "deep" / "c.PY").write_text("z = 3\n")
    (folder / "d.odd").write_text("odd\n")
    return folder


def records(gathered: CorpusBuildSummary) -> list[tuple[str, str]]:
    entries = [json.loads(line) for line in gathered.path.read_text("utf-8").splitlines()]
    assert len(entries) == gathered.documents
    assert gathered.path.stat().st_size == gathered.bytes
    return [(record["source"], record["text"]) for record in entries]


def test_files_of_the_extensions_become_records(src: Path, tmp_path: Path) -> None:
    result = build_corpus(src, tmp_path / "dest", extensions=("py", ".odd"))
    assert records(result) == [
        ("src/a.py", "x = 1\n\ny = 2\n"), ("src/d.odd", "odd\n"), ("src/deep/c.PY", "z = 3\n"),
    ]  # fmt: skip
    assert (result.files, result.documents) == (3, 3)
    assert result.path == tmp_path / "dest" / "src.jsonl"


def test_gather_writes_one_file_per_source(src: Path, tmp_path: Path) -> None:
    dest = tmp_path / "dest"
    other = tmp_path / "other" / "src"
    other.mkdir(parents=True)
    (other / "e.txt").write_text("another 🦊", "utf-8")
    first = build_corpus(src, dest)
    second = build_corpus(other, dest)
    assert first.path != second.path, "two sources of one name"
    corpus_bytes = second.path.read_bytes()
    (src / "a.py").write_text("new")
    assert build_corpus(src, dest).path == first.path, "the same source replaces its own file"
    assert second.path.read_bytes() == corpus_bytes
    texts = {document.text for document in read_documents(resolve_corpus(str(dest)))}
    assert texts == {"new", "# Fox\n", "z = 3\n", "another 🦊"}


def test_gather_never_overwrites_unrelated_file(src: Path, tmp_path: Path) -> None:
    dest = tmp_path / "dest"
    dest.mkdir()
    (dest / "src.jsonl").write_text('"mine"')
    assert build_corpus(src, dest).path.name == "src-2.jsonl"
    assert (dest / "src.jsonl").read_text() == '"mine"'


def test_a_destination_inside_the_source_is_not_read(src: Path) -> None:
    first = build_corpus(src, src / "corpus")
    assert records(build_corpus(src, src / "corpus")) == records(first)


def test_lines_chunks_and_lengths(src: Path, tmp_path: Path) -> None:
    def texts(**options: Any) -> list[str]:
        return [
            text for _, text in records(build_corpus(src / "a.py", tmp_path / "dest", **options))
        ]

    assert texts(split="line") == ["x = 1", "y = 2"]
    assert texts(split="chunk", chunk_chars=6, overlap_chars=2) == ["x = 1\n", "1\n\ny =", " = 2\n"]
    result = build_corpus(src, tmp_path / "dest", min_length=6)
    assert (result.documents, result.too_short) == (1, 2)


@given(st.lists(st.text(max_size=30)), st.integers(1, 9), st.integers(0, 8))
def test_chunks_overlap_and_join_to_the_whole(parts: list[str], size: int, overlap: int) -> None:
    overlap = min(overlap, size - 1)
    whole = "".join(parts)
    chunks = list(_chunks(iter(parts), size, overlap))
    assert "".join(chunks[:1] + [chunk[overlap:] for chunk in chunks[1:]]) == whole
    assert all(len(chunk) == size for chunk in chunks[:-1])
    for one, next_one in pairwise(chunks):
        assert one[size - overlap :] == next_one[:overlap]
        assert len(next_one) > overlap


def test_duplicates_are_dropped_exactly_or_nearly(tmp_path: Path) -> None:
    src = tmp_path / "src"
    src.mkdir()
    other = "Nothing of the kind was ever heard in the town where nobody lived but the mayor. " * 4
    for name, text in {
        "a": PARAGRAPH, "b": PARAGRAPH, "c": PARAGRAPH.replace(" ate", " slept", 1), "d": other,
    }.items():  # fmt: skip
        (src / f"{name}.txt").write_text(text)
    exact = build_corpus(src, tmp_path / "dest", deduplicate="exact")
    assert (exact.documents, exact.exact_duplicates, exact.near_duplicates) == (3, 1, 0)
    near = build_corpus(src, tmp_path / "dest", deduplicate="near")
    assert (near.documents, near.exact_duplicates, near.near_duplicates) == (2, 1, 1)
    assert [source for source, _ in records(near)] == ["src/a.txt", "src/d.txt"]


def test_near_duplicates_keep_distinct_documents() -> None:
    words = np.random.default_rng(0).integers(0, 5000, size=(50, 200))
    texts = [" ".join(f"w{word}" for word in row) for row in words]
    changed = [text.replace("w1", "v1", 1) for text in texts[:5]]
    assert find_near_duplicates([*texts, *changed]).tolist() == [50, 51, 52, 53, 54]
    chinese = ["今天天气非常好大家都高兴", "今天天气非常好大家都高兴。", "我们去公园散步"]
    assert find_near_duplicates(chinese).tolist() == [1]
    assert find_near_duplicates(["", "", "...", "one", "One!"]).tolist() == [4]


@given(st.lists(st.integers(0, 5)))
def test_exact_duplicates_leave_each_hash_once(hashes: list[int]) -> None:
    array = np.array(hashes, dtype=np.uint64)
    left = np.delete(array, find_exact_duplicates(array)).tolist()
    assert left == list(dict.fromkeys(hashes))


def test_samples_and_max_files(src: Path, tmp_path: Path) -> None:
    lines = [f"line {i}" for i in range(100)]
    (src / "a.py").write_text("\n".join(lines))
    options: dict[str, Any] = {"split": "line", "sample_size": 10, "max_files": 1}
    one = build_corpus(src, tmp_path / "one", seed=1, **options)
    chosen = [lines.index(text) for _, text in records(one)]
    assert (one.files, one.documents, one.num_not_sampled) == (1, 10, 90)
    assert chosen == sorted(chosen)
    assert records(build_corpus(src, tmp_path / "two", seed=1, **options)) == records(one)
    assert records(build_corpus(src, tmp_path / "two", seed=2, **options)) != records(one)


def test_gather_counts_and_warns_about_unreadable_files(
    src: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (src / "e.pdf").write_bytes(b"no pdf")
    with caplog.at_level(logging.WARNING, "descend"):
        result = build_corpus(src, tmp_path / "dest")
    assert (result.files, result.num_unreadable_files, result.documents) == (4, 1, 3)
    assert "e.pdf" in caplog.text


def test_corpus_add_command_reports_unreadable_files(
    src: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line(["corpus", "add", str(src), "whole"]) == 0
    assert "from 3 files are in" in capsys.readouterr().out
    (src / "e.pdf").write_bytes(b"no pdf")
    assert command_line(["corpus", "add", str(src), "dest"]) == 0
    assert "from 4 files (1 of them could not be read) are in" in capsys.readouterr().out


def test_mistakes_are_named_and_leave_the_destination(src: Path, tmp_path: Path) -> None:
    dest = tmp_path / "dest"
    bad: list[tuple[type[Exception], str, dict[str, Any]]] = [
        (ConfigError, "overlap_chars", {"split": "chunk", "chunk_chars": 5, "overlap_chars": 5}),
        (ConfigError, "sample_size", {"sample_size": 0}),
        (ConfigError, "split", {"split": "word"}),
        (CorpusError, "min_length", {"min_length": 1000}),
        (CorpusError, "only 4 other files", {"extensions": (".none",)}),
    ]
    for kind, word, options in bad:
        with pytest.raises(kind, match=word):
            build_corpus(src, dest, **options)
    with pytest.raises(CorpusError, match="no such file"):
        build_corpus(tmp_path / "none", dest)
    assert not dest.exists() or list(dest.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskWriteError):
        build_corpus(src, tmp_path / "file")
