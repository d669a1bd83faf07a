"""A text encoded in several processes has the bytes that one process gives."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from descend.data.document import Document
from descend.data.document_store import DocumentStore, build_document_store
from descend.data.span_encoding import (
    divide_spans,
    encode_shard,
    encode_spans,
    iter_texts,
    write_tokens,
)
from descend.data.tokenizer import Tokenizer, train_tokenizer

pick = random.Random(5)
WORDS = ["".join(pick.choices("abcdeéß中😀", k=pick.randint(2, 7))) for _ in range(200)]


def make_text(num_words: int, separator: str = " ") -> str:
    return separator.join(" ".join(pick.choices(WORDS, k=9)) for _ in range(max(1, num_words // 9)))


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> DocumentStore:
    """Two megabytes: long documents with and without lines, short ones, and an empty line."""
    texts = [
        *(make_text(n) for n in (5, 40, 300)),
        make_text(60_000, "\n"),
        "\n",
        make_text(40_000),
        *(make_text(20) for _ in range(300)),
    ]
    stored = (Document(text, f"{n}.txt") for n, text in enumerate(texts))
    return build_document_store(stored, tmp_path_factory.mktemp("store") / "text")


@pytest.fixture(scope="module")
def tokenizer(documents: DocumentStore) -> Tokenizer:
    return train_tokenizer("bpe", 400, lambda: iter_texts(documents, spans_of(documents)))


def spans_of(documents: DocumentStore) -> np.ndarray:
    return np.stack((documents.offsets[:-1], documents.offsets[1:]), axis=1)


def whole(documents: DocumentStore, tokenizer: Tokenizer) -> bytes:
    return b"".join(ids for ids, _ in encode_spans(documents, spans_of(documents), tokenizer))


@pytest.mark.parametrize("count", [1, 2, 3, 7, 50])
def test_shards_encode_to_the_ids_of_the_whole(
    documents: DocumentStore, tokenizer: Tokenizer, count: int
) -> None:
    spans = spans_of(documents)
    shards = divide_spans(documents, spans, count)
    assert 1 <= len(shards) <= count
    assert len(shards) == count or count > 5  # ranges of 256 kB cannot be cut further
    sizes = [int((s.spans[:, 1] - s.spans[:, 0]).sum()) for s in shards]
    assert sum(sizes) == documents.nbytes
    assert max(sizes) <= documents.nbytes / count + 2**18
    end = whole(documents, tokenizer)[:2]
    parts = [ids for shard in shards for ids, _ in encode_shard(documents, shard, tokenizer)]
    assert end + b"".join(parts) == whole(documents, tokenizer)


@pytest.mark.parametrize("count", [1, 3])
def test_processes_write_the_same_file(
    documents: DocumentStore, tokenizer: Tokenizer, own_folder: Path, count: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def fail(*arguments: object) -> None:
        raise AssertionError("a process failed, and its part was encoded again")

    monkeypatch.setattr("descend.data.span_encoding._write_shard", fail)
    progress: list[int] = []
    path = own_folder / "train.bin"
    spans = spans_of(documents)
    nbytes = write_tokens(documents, spans, tokenizer, path, progress.append, count)
    assert nbytes == documents.nbytes
    assert path.read_bytes() == whole(documents, tokenizer)
    assert progress == sorted(progress)
    assert progress[-1] <= nbytes
    assert [p.name for p in own_folder.iterdir()] == ["train.bin"]


def test_failed_process_changes_no_byte(
    documents: DocumentStore, tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    path = tmp_path / "train.bin"
    write_tokens(documents, spans_of(documents), tokenizer, path, lambda done: None, 2)
    assert path.read_bytes() == whole(documents, tokenizer)


def test_empty_spans_are_an_end_of_text(
    documents: DocumentStore, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    nothing = np.empty((0, 2), np.int64)
    path = tmp_path / "train.bin"
    assert write_tokens(documents, nothing, tokenizer, path, lambda done: None) == 0
    assert np.frombuffer(path.read_bytes(), np.uint16).tolist() == [tokenizer.eos_token_id]
