"""Tokens on disk, memory-mapped: a corpus of any size trains in the same memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from descend.data.cached_encoder import token_id_dtype
from descend.data.corpus import CorpusSource
from descend.data.document_store import DocumentStore
from descend.data.ngram_baselines import NgramBaselines
from descend.data.span_encoding import encode_spans, iter_texts
from descend.data.split import Split
from descend.data.tokenizer import Tokenizer


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
        """Return the training text, span by span, in pieces small enough to hold."""
        return iter_texts(self.documents, self.split.train)


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
    ids = b"".join(ids for ids, _ in encode_spans(text.documents, documents, tokenizer))
    return np.frombuffer(ids, token_id_dtype(tokenizer)), text.documents.nbytes


def encode_validation(text: PreparedCorpus, tokenizer: Tokenizer) -> NDArray[np.unsignedinteger]:
    """Return the validation side of `text` as one stream of ids, as `prepare_tokens` makes it."""
    ids = b"".join(ids for ids, _ in encode_spans(text.documents, text.split.validation, tokenizer))
    return np.frombuffer(ids, token_id_dtype(tokenizer))


def open_token_files(
    folder: Path, tokenizer: Tokenizer
) -> tuple[NDArray[np.unsignedinteger], NDArray[np.unsignedinteger]]:
    """Map the token ids of training and validation in `folder` into memory."""
    dtype = token_id_dtype(tokenizer)
    return (
        np.memmap(folder / "train.bin", dtype=dtype, mode="r"),
        np.memmap(folder / "validation.bin", dtype=dtype, mode="r"),
    )
