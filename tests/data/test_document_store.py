"""A document store holds exactly the documents, samples them by seed, and needs little memory."""

from __future__ import annotations

import hashlib
import logging
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import descend
from descend.data.document import Document
from descend.data.document_store import DocumentStore, build_document_store, open_document_store
from descend.errors import CorpusError


def store_documents(
    folder: Path, *texts: str, sample_size: int | None = None, seed: int = 0
) -> DocumentStore:
    documents = (Document(text, str(i)) for i, text in enumerate(texts))
    return build_document_store(documents, folder, sample_size=sample_size, seed=seed)


def whole(built: DocumentStore) -> list[str]:
    return [built.document_bytes(i).decode() for i in range(len(built))]


@given(st.lists(st.lists(st.text(), min_size=1), min_size=1))
def test_documents_come_back_with_their_parts_joined(documents: list[list[str]]) -> None:
    expected_texts = [text for parts in documents if (text := "".join(parts))]
    stream = [Document(t, "", part) for parts in documents for part, t in enumerate(parts)]
    with tempfile.TemporaryDirectory() as folder:
        if not expected_texts:
            with pytest.raises(CorpusError):
                build_document_store(iter(stream), Path(folder) / "s")
            return
        built = build_document_store(iter(stream), Path(folder) / "s")
        data = "".join(expected_texts).encode()
        assert whole(built) == expected_texts
        assert built.nbytes == len(data) == built.lengths.sum()
        assert built.bytes(0, built.nbytes) == data
        assert built.sha256 == hashlib.sha256(data).hexdigest()
        assert len(set(expected_texts)) == len(set(built.hashes.tolist()))


def test_lone_surrogates_become_replacement_characters(tmp_path: Path) -> None:
    assert whole(store_documents(tmp_path / "s", "a\ud800b", "\ud83d\ude00")) == [
        "a\ufffdb",
        "\U0001f600",
    ]


def test_document_sample_depends_on_seed_and_preserves_order(tmp_path: Path) -> None:
    texts = [f"document {i} " * (i % 7 + 1) for i in range(50)]
    first = store_documents(tmp_path / "a", *texts, sample_size=10, seed=3)
    again = store_documents(tmp_path / "b", *texts, sample_size=10, seed=3)
    other = store_documents(tmp_path / "c", *texts, sample_size=10, seed=4)
    chosen = [texts.index(text) for text in whole(first)]
    assert len(chosen) == 10
    assert chosen == sorted(chosen)
    assert whole(first) == whole(again) != whole(other)
    assert first.sha256 == again.sha256
    assert first.sha256 == hashlib.sha256("".join(whole(first)).encode()).hexdigest()
    # Pinned: the same documents in any process and with any version of numpy.
    assert chosen == [0, 4, 7, 9, 20, 28, 31, 34, 39, 47]
    assert (first.folder / "text.bin").stat().st_size == first.nbytes


def test_oversized_sample_uses_all_documents_and_warns(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "descend"):
        assert len(store_documents(tmp_path / "s", "a", "b", sample_size=3)) == 2
    assert "sample_size" in caplog.text


def test_document_store_pickles_by_path_and_replaces_atomically(tmp_path: Path) -> None:
    first = store_documents(tmp_path / "in" / "s", "one " * 10_000)
    message = pickle.dumps(first)
    assert len(message) < 1000
    assert whole(pickle.loads(message)) == whole(first)
    store_documents(tmp_path / "in" / "s", "two")
    assert whole(open_document_store(tmp_path / "in" / "s")) == ["two"]
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["s"]


@pytest.mark.parametrize("part", ["text.bin", "offsets.npy", "hashes.npy", "document_store.json"])
def test_document_store_rejects_damaged_files(tmp_path: Path, part: str) -> None:
    folder = store_documents(tmp_path / "s", "one", "two").folder
    os.truncate(folder / part, 3)
    with pytest.raises(CorpusError, match="Delete this folder"):
        open_document_store(folder)
    (folder / part).unlink()
    with pytest.raises(CorpusError, match="Delete this folder"):
        open_document_store(folder)


def test_failed_document_store_build_leaves_no_files(tmp_path: Path) -> None:
    def broken() -> Iterator[Document]:
        yield Document("one", "")
        raise CorpusError("a", "b", "c", "d")

    with pytest.raises(CorpusError):
        build_document_store(broken(), tmp_path / "in" / "s")
    assert list((tmp_path / "in").iterdir()) == []


MEMORY = """
import resource, sys
from pathlib import Path
from descend.data.corpus import resolve_corpus, read_documents
from descend.data.document_store import build_document_store
unit = 2**20 if sys.platform == 'darwin' else 2**10
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit
one, folder = sys.argv[1:]
small = Path(folder, 'small.txt'); small.write_text('Der Fuchs läuft.\\n' * 100_000)
build = lambda path, name: build_document_store(
    read_documents(resolve_corpus(path), normalize='nfc'), Path(folder, name))
build(str(small), 'a')
before = peak()
built = build(one, 'b')
print(peak() - before, built.nbytes)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no resource module")
def test_a_hundred_megabytes_need_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "large.txt"
    rng = np.random.default_rng(0)
    with path.open("wb") as file:
        for _ in range(100):
            letters = rng.integers(97, 123, size=1 << 20, dtype=np.uint8)
            letters[::7] = 32
            letters[::80] = 10
            file.write(letters.tobytes()[:-5] + "ü\n".encode())
    root = str(Path(descend.__file__).parents[1])
    output = subprocess.run(
        [sys.executable, "-c", MEMORY, str(path), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    grown, nbytes = map(int, output.split())
    assert nbytes == path.stat().st_size > 100_000_000
    assert grown < 40, f"{grown} MiB more for 100 MB than for 2 MB of text"
