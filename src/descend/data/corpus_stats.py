"""A corpus in numbers: how much, how repetitive, and what any model must beat on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from descend.data.contamination.boilerplate import (
    MAX_CHARS,
    MAX_DOCUMENTS,
    Boilerplate,
    find_boilerplate,
)
from descend.data.contamination.duplicate_documents import (
    find_exact_duplicates,
    find_near_duplicates,
)
from descend.data.ngram_baselines import NgramBaselines
from descend.data.repeated_phrases import RepeatedPhrase
from descend.data.text_shape import measure_text_shape
from descend.data.token_store import PreparedCorpus, TokenStore

MAX_DOCUMENTS_COMPARED = 20_000
"""Near duplicates are searched among so many documents: about ten seconds of MinHash."""

RARE_TOKEN_COUNT = 20
"""Uses in training below which a token has hardly been learned (shared diagnosis notes, S15)."""

FREQUENT = 20

EXCERPT_TOKENS = 150
"""Tokens of the beginning: about a paragraph."""


@dataclass(frozen=True)
class TokenFrequency:
    """A token as text, and how often it stands in the training text."""

    token: str
    count: int


@dataclass(frozen=True)
class CorpusStats:
    """Sizes of the whole text; shares are between 0 and 1."""

    corpus: str
    documents: int
    bytes: int
    characters: int
    tokens: int
    bytes_per_token: float
    vocab_size: int
    duplicate_fraction: float
    """Bytes in documents that repeat an earlier one exactly."""
    near_duplicate_fraction: float | None
    """Documents that nearly repeat an earlier one; None above `MAX_DOCUMENTS_COMPARED`."""
    contamination_fraction: float
    """Validation tokens inside a run of 32 that stands in the training text too."""
    frequent_tokens: list[TokenFrequency]
    rare_vocabulary_fraction: float
    """Fraction of the vocabulary with fewer than 20 uses in the training text."""
    frequency_octaves: list[int]
    """How many tokens of the vocabulary are used 0, 1, 2-3, 4-7, 8-15, … times in training."""
    split_by: str
    train_tokens: int
    validation_tokens: int
    ngram_baselines: NgramBaselines
    boilerplate: Boilerplate | None = None
    """Passages that recur across documents; None where there are too few documents to tell."""
    validation_divergence: float = 0.0
    """Jensen-Shannon divergence of the tokens of validation and training text, in bits."""
    repeated_line_fraction: float = 0.0
    """Lines of the training text that repeat an earlier one, numbers aside."""
    repeated_phrases: tuple[RepeatedPhrase, ...] = ()
    """Phrases that make up 1% of the text or more each, most of it first."""
    split_word_fraction: float = 0.0
    """Lines of the training text that end within a word, with a hyphen."""
    random_id_fraction: float = 0.0
    """Characters of the training text in hexadecimal ids, which nothing predicts."""
    excerpt_tokens: tuple[str, ...] = ()
    """The first tokens of the training text, one by one as text."""


def compute_corpus_stats(store: TokenStore) -> CorpusStats:
    """Count everything once; memory is bounded by the largest document."""
    text, info = store.text, store.info
    documents = text.documents
    repeated = find_exact_duplicates(documents.hashes)
    lengths = documents.lengths
    counts = np.bincount(store.train, minlength=store.tokenizer.vocab_size)
    tokens = info.train_tokens + info.validation_tokens
    nbytes = info.train_bytes + info.validation_bytes
    top = np.argsort(-counts, kind="stable")[:FREQUENT]
    octave = np.where(counts == 0, 0, np.log2(np.maximum(counts, 1)).astype(np.int64) + 1)
    return CorpusStats(
        corpus=info.corpus,
        documents=info.documents,
        bytes=nbytes,
        characters=_characters(text),
        tokens=tokens,
        bytes_per_token=nbytes / tokens,
        vocab_size=store.tokenizer.vocab_size,
        duplicate_fraction=float(lengths[list(repeated)].sum() / max(nbytes, 1)),
        near_duplicate_fraction=_near_duplicate_fraction(text),
        contamination_fraction=info.contamination_fraction,
        frequent_tokens=[
            TokenFrequency(_display_token(store, int(i)), int(counts[i])) for i in top
        ],
        rare_vocabulary_fraction=float((counts < RARE_TOKEN_COUNT).mean()),
        frequency_octaves=np.bincount(octave).tolist(),
        split_by=info.split_by,
        train_tokens=info.train_tokens,
        validation_tokens=info.validation_tokens,
        ngram_baselines=info.ngram_baselines,
        boilerplate=find_boilerplate(lambda: _sampled_texts(text)),
        **measure_text_shape(store)._asdict(),
        excerpt_tokens=_first_tokens(store),
    )


def _sampled_texts(text: PreparedCorpus) -> Iterator[str]:
    """Yield the documents, or an even sample of them within `MAX_DOCUMENTS` and `MAX_CHARS`."""
    documents = text.documents
    chosen = np.unique(np.linspace(0, len(documents) - 1, MAX_DOCUMENTS).astype(np.int64))
    length = max(1, MAX_CHARS // len(chosen))
    for i in chosen.tolist():
        start, end = int(documents.offsets[i]), int(documents.offsets[i + 1])
        if documents.nbytes > MAX_CHARS:
            end = min(end, start + length)
        yield documents.bytes(start, end).decode("utf-8", "ignore")


def _first_tokens(store: TokenStore) -> tuple[str, ...]:
    """Return the beginning of the training text; the ends of documents are left out."""
    ids = [int(i) for i in store.train[: 2 * EXCERPT_TOKENS] if i != store.tokenizer.eos_token_id]
    return tuple(store.tokenizer.decode([i]) for i in ids[:EXCERPT_TOKENS])


def _display_token(store: TokenStore, index: int) -> str:
    if index == store.tokenizer.eos_token_id:
        return "<|endoftext|>"
    return store.tokenizer.decode([index])


def _characters(text: PreparedCorpus) -> int:
    """Return characters: the bytes that do not continue one (UTF-8 marks these with 10 in
    front)."""
    documents, total = text.documents, 0
    for start in range(0, documents.nbytes, 2**24):
        block = np.frombuffer(
            documents.bytes(start, min(start + 2**24, documents.nbytes)), dtype=np.uint8
        )
        total += int(((block & 0xC0) != 0x80).sum())
    return total


def _near_duplicate_fraction(text: PreparedCorpus) -> float | None:
    count = len(text.documents)
    if count > MAX_DOCUMENTS_COMPARED:
        return None
    documents = (text.documents.document_bytes(i).decode() for i in range(count))
    return len(find_near_duplicates(documents)) / count
