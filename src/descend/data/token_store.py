"""Tokens on disk, memory-mapped: a corpus of any size trains in the same memory."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from descend.data.cached_encoder import make_encoder, token_id_dtype
from descend.data.corpus import CorpusSource
from descend.data.document_store import DocumentStore
from descend.data.line_chunks import run_pieces, split_at_newlines
from descend.data.ngram_baselines import NgramBaselines
from descend.data.split import Spans, Split
from descend.data.tokenizer import Tokenizer

_CHUNK_CHARACTERS = 2**16
_CHARACTERS_AT_ONCE = 2**20
"""Encoded together, on all cores: the tokenizer holds some 130 bytes a token until they are copied,
so this bounds memory to about 50 MB, whatever the size of the corpus."""


class TokenStoreInfo(msgspec.Struct, frozen=True):
    """What is known of a corpus once it is tokens; `*_bytes` are UTF-8 bytes of the text."""

    corpus: str
    corpus_sha256: str
    documents: int
    split_by: str
    train_bytes: int
    validation_bytes: int
    train_tokens: int
    validation_tokens: int
    vocab_size: int
    contamination_fraction: float
    """Fraction of validation tokens inside a run of 32 tokens that stands in training too."""
    ngram_baselines: NgramBaselines
    train_sha256: str = ""
    """SHA-256 (hex) of the training tokens as they stand on disk; empty in older records."""
    validation_sha256: str = ""


@dataclass(frozen=True)
class PreparedCorpus:
    """Extracted text on disk and how it is divided; the first stage of preparing a corpus."""

    source: CorpusSource
    documents: DocumentStore
    split: Split
    key: str

    @property
    def train_bytes(self) -> int:
        """UTF-8 bytes of training text."""
        return self.split.train_bytes

    def train_texts(self) -> Iterator[str]:
        """The training text, span by span, in pieces small enough to hold."""
        return _texts(self.documents, self.split.train)


@dataclass(frozen=True)
class TokenStore:
    """Both sides of a corpus as token ids, an end-of-text token before and after each document."""

    train: NDArray[np.unsignedinteger]
    validation: NDArray[np.unsignedinteger]
    tokenizer: Tokenizer
    info: TokenStoreInfo
    text: PreparedCorpus
    """What the tokens were made from."""

    @property
    def bytes_per_token(self) -> float:
        """Of the training text."""
        return self.info.train_bytes / max(len(self.train), 1)


def encode_corpus(
    text: PreparedCorpus, tokenizer: Tokenizer
) -> tuple[NDArray[np.unsignedinteger], int]:
    """Return all of `text` as one stream of ids, and its UTF-8 bytes: for judging a model on it."""
    offsets = text.documents.offsets
    # By document, not by the spans of the split: a document that it cut has no end there.
    documents = np.stack((offsets[:-1], offsets[1:]), axis=1)
    ids = b"".join(ids for ids, _ in _encoded(text.documents, documents, tokenizer))
    return np.frombuffer(ids, token_id_dtype(tokenizer)), text.documents.nbytes


def encode_validation(text: PreparedCorpus, tokenizer: Tokenizer) -> NDArray[np.unsignedinteger]:
    """Return the validation side of `text` as one stream of ids, as `prepare_tokens` makes it."""
    ids = b"".join(ids for ids, _ in _encoded(text.documents, text.split.validation, tokenizer))
    return np.frombuffer(ids, token_id_dtype(tokenizer))


def _texts(documents: DocumentStore, spans: Spans) -> Iterator[str]:
    """The text of `spans` in pieces of about `_CHUNK_CHARACTERS`; none crosses a span."""
    for start, end in spans:
        while start < end:
            stop = min(end, start + 4 * _CHUNK_CHARACTERS)
            raw = documents.bytes(start, stop)
            if stop < end:  # not inside a character, and after a newline where there is one
                cut = raw.rfind(b"\n") + 1
                while not cut and raw and (documents.bytes(stop, stop + 1)[0] & 0xC0) == 0x80:
                    stop -= 1
                    raw = raw[:-1]
                raw = raw[:cut] if cut else raw
            start += len(raw)
            for piece in split_at_newlines(raw.decode(), _CHUNK_CHARACTERS):
                yield from run_pieces(piece)


def write_tokens(
    documents: DocumentStore,
    spans: Spans,
    tokenizer: Tokenizer,
    path: Path,
    on_progress: Callable[[int], None],
) -> int:
    """Write the ids of `spans` to `path` in fixed memory; returns the bytes of text encoded."""
    done = 0
    with path.open("wb") as file:
        for ids, nbytes in _encoded(documents, spans, tokenizer):
            file.write(ids)
            done += nbytes
            on_progress(done)
    return done


def _encoded(
    documents: DocumentStore, spans: Spans, tokenizer: Tokenizer
) -> Iterator[tuple[bytes, int]]:
    """The ids of `spans` in order, an end-of-text token before and after each, and the bytes of
    text that they stand for; a segment at a time."""
    end = np.array([tokenizer.eos_token_id], dtype=token_id_dtype(tokenizer)).tobytes()
    encode = make_encoder(tokenizer)
    # None marks the end of a document.
    chunks = itertools.chain.from_iterable(
        itertools.chain(_texts(documents, spans[i : i + 1]), [None]) for i in range(len(spans))
    )
    yield end, 0
    for group in _groups(chunks):
        texts = [chunk for chunk in group if chunk is not None]
        encoded = iter(encode(texts))
        ids = b"".join(end if chunk is None else next(encoded) for chunk in group)
        yield ids, sum(len(text.encode()) for text in texts)


def _groups(chunks: Iterable[str | None]) -> Iterator[list[str | None]]:
    """`pieces` in order, in lists of about `_CHARACTERS_AT_ONCE` characters."""
    group: list[str | None] = []
    num_characters = 0
    for chunk in chunks:
        group.append(chunk)
        num_characters += len(chunk or "") + 1
        if num_characters >= _CHARACTERS_AT_ONCE:
            yield group
            group, num_characters = [], 0
    if group:
        yield group


def open_token_files(
    folder: Path, tokenizer: Tokenizer
) -> tuple[NDArray[np.unsignedinteger], NDArray[np.unsignedinteger]]:
    dtype = token_id_dtype(tokenizer)
    return (
        np.memmap(folder / "train.bin", dtype=dtype, mode="r"),
        np.memmap(folder / "validation.bin", dtype=dtype, mode="r"),
    )
