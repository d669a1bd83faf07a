"""Tokens on disk, memory-mapped: a corpus of any size trains in the same memory."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from descend.config import RunConfig
from descend.data.cache_build import build_once, is_whole
from descend.data.cache_dir import cache_dir, remember_path
from descend.data.cached_encoder import make_encoder, token_id_dtype
from descend.data.contamination.exact_overlap import exact_overlap_fraction
from descend.data.corpus import CorpusSource, is_now_readable, read_documents, resolve_corpus
from descend.data.corpus_warnings import collect_warnings, log_warnings
from descend.data.document_store import DocumentStore, build_document_store, open_document_store
from descend.data.line_chunks import run_pieces, split_at_newlines
from descend.data.ngram_baselines import NgramBaselines, compute_ngram_baselines
from descend.data.readers.options import ReadOptions
from descend.data.split import Spans, Split, split_documents
from descend.data.tokenizer import Tokenizer, TokenizerKind, load_tokenizer, train_tokenizer
from descend.guard import hash_file

ProgressCallback = Callable[[str, float], None]
"""Told the stage of the work and the share of it that is done, 0 to 1."""

# Raised whenever extraction, split or token layout change, so that old caches are not met.
_FORMAT = 4

# Beside a text: names of the files that could not be read, and all that was warned of.
_SKIPPED, _WARNINGS = "skipped.json", "notes.json"

_CHUNK_CHARACTERS = 2**16
_CHARACTERS_AT_ONCE = 2**20
"""Encoded together, on all cores: the tokenizer holds some 130 bytes a token until they are copied,
so this bounds memory to about 50 MB, whatever the size of the corpus."""


def ignore_progress(stage: str, fraction: float) -> None:
    """Progress that nobody watches."""


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
    """Share of validation tokens inside a run of 32 tokens that stands in training too."""
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

    @property
    def bytes_per_token(self) -> float:
        """Of the training text."""
        return self.info.train_bytes / max(len(self.train), 1)


def prepare_documents(
    config: RunConfig, progress: ProgressCallback = ignore_progress, *, anew: bool = False
) -> PreparedCorpus:
    """Find, read, sample and split the corpus of `config`; cached by what it was made from.

    Who begins `anew` has files tried again that could not be read when it was cached, and is
    warned of all that is left out or guessed; what looks back at a run wants the text that it had.
    Raises `CorpusError` for text that is missing, unreadable, empty or too short.
    """
    options = ReadOptions(config.encoding, config.text_column, config.split)
    source = resolve_corpus(config.corpus_dir, options=options)
    if anew:
        remember_path(config.corpus_dir)
    made_from = (
        _FORMAT, source.fingerprint, config.normalize, config.sample_size,
        config.sample_size and config.seed,
    )  # fmt: skip
    key = hashlib.sha256(repr(made_from).encode()).hexdigest()[:24]
    folder = cache_dir() / "text" / key

    def build(aside: Path) -> None:
        progress("reading text", 0.0)
        skipped: list[str] = []
        documents = read_documents(source, normalize=config.normalize, skipped=skipped)
        with collect_warnings() as warnings:
            build_document_store(documents, aside, sample_size=config.sample_size, seed=config.seed)
        for name, names in ((_SKIPPED, skipped), (_WARNINGS, warnings)):
            if names:
                (aside / name).write_bytes(msgspec.json.encode(names))

    again = anew and is_now_readable(source, _listed(folder / _SKIPPED))
    needs_rebuild = again or not is_whole(folder)
    if anew or needs_rebuild:
        log_warnings(source.warnings)
    build_once(folder, build, again)
    if anew and not needs_rebuild:
        log_warnings(_listed(folder / _WARNINGS))
    documents = open_document_store(folder)
    split = split_documents(documents, config.validation_fraction, config.seed)
    if _listed(folder / _SKIPPED):  # the same files may come to another text the next time
        key += f"-{documents.sha256[:24]}"
    return PreparedCorpus(
        source, documents, split, f"{key}-{config.validation_fraction}-{config.seed}"
    )


def _listed(file: Path) -> list[str]:
    """The strings kept in `file` when the text beside it was read; none without it."""
    return msgspec.json.decode(file.read_bytes(), type=list[str]) if file.is_file() else []


def prepare_tokenizer(
    text: PreparedCorpus,
    kind: TokenizerKind,
    vocab_size: int,
    progress: ProgressCallback = ignore_progress,
) -> Tokenizer:
    """A tokenizer trained on the training side of `text`; cached."""
    made_from = (_FORMAT, text.key, kind, vocab_size if kind == "bpe" else 0)
    name = hashlib.sha256(repr(made_from).encode()).hexdigest()[:24]

    def build(aside: Path) -> None:
        progress("training the tokenizer", 0.0)
        tokenizer = train_tokenizer(kind, vocab_size, text.train_texts)
        (aside / "tokenizer.json").write_bytes(tokenizer.to_bytes())

    return load_tokenizer(build_once(cache_dir() / "tokenizers" / name, build))


def prepare_tokens(
    text: PreparedCorpus, tokenizer: Tokenizer, progress: ProgressCallback = ignore_progress
) -> TokenStore:
    """Both sides of `text` as tokens, with what any model must beat; cached."""
    made_from = (_FORMAT, text.key, tokenizer.fingerprint)
    name = hashlib.sha256(repr(made_from).encode()).hexdigest()[:24]

    def build(aside: Path) -> None:
        total = text.documents.nbytes
        done = _encode(text.documents, text.split.train, tokenizer, aside / "train.bin",
                       lambda n: progress("tokenizing", n / total))  # fmt: skip
        _encode(text.documents, text.split.validation, tokenizer, aside / "validation.bin",
                lambda n: progress("tokenizing", (done + n) / total))  # fmt: skip
        train, validation = _sides(aside, tokenizer)
        progress("measuring the corpus", 0.0)
        baselines = compute_ngram_baselines(train, validation, tokenizer.vocab_size)
        bytes_per_token = text.train_bytes / max(len(train), 1)
        overlap_fraction = exact_overlap_fraction(
            train, validation, baselines.best, bytes_per_token
        )
        info = TokenStoreInfo(
            corpus=text.source.name,
            corpus_sha256=text.documents.sha256,
            documents=len(text.documents),
            split_by=text.split.method,
            train_bytes=text.train_bytes,
            validation_bytes=text.split.validation_bytes,
            train_tokens=len(train),
            validation_tokens=len(validation),
            vocab_size=tokenizer.vocab_size,
            contamination_fraction=overlap_fraction,
            ngram_baselines=baselines,
            train_sha256=hash_file(aside / "train.bin") or "",
            validation_sha256=hash_file(aside / "validation.bin") or "",
        )
        (aside / "info.json").write_bytes(msgspec.json.encode(info))

    folder = build_once(cache_dir() / "tokens" / name, build)
    info = msgspec.json.decode((folder / "info.json").read_bytes(), type=TokenStoreInfo)
    # Another folder with the same text has the same tokens, but not the same name.
    info = msgspec.structs.replace(info, corpus=text.source.name)
    train, validation = _sides(folder, tokenizer)
    return TokenStore(train, validation, tokenizer, info)


def encode_corpus(
    text: PreparedCorpus, tokenizer: Tokenizer
) -> tuple[NDArray[np.unsignedinteger], int]:
    """All of `text` as one stream of ids, and its UTF-8 bytes: for judging a model on it."""
    offsets = text.documents.offsets
    # By document, not by the spans of the split: a document that it cut has no end there.
    documents = np.stack((offsets[:-1], offsets[1:]), axis=1)
    ids = b"".join(ids for ids, _ in _encoded(text.documents, documents, tokenizer))
    return np.frombuffer(ids, token_id_dtype(tokenizer)), text.documents.nbytes


def encode_validation(text: PreparedCorpus, tokenizer: Tokenizer) -> NDArray[np.unsignedinteger]:
    """The held-out side of `text` as one stream of ids, as `prepare_tokens` makes it."""
    ids = b"".join(ids for ids, _ in _encoded(text.documents, text.split.validation, tokenizer))
    return np.frombuffer(ids, token_id_dtype(tokenizer))


def _texts(documents: DocumentStore, spans: Spans) -> Iterator[str]:
    """The text of `spans` in pieces of about `_PIECE_CHARACTERS`; none crosses a span."""
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


def _encode(
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
    text that they stand for; a stretch at a time."""
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


def _sides(
    folder: Path, tokenizer: Tokenizer
) -> tuple[NDArray[np.unsignedinteger], NDArray[np.unsignedinteger]]:
    dtype = token_id_dtype(tokenizer)
    return (
        np.memmap(folder / "train.bin", dtype=dtype, mode="r"),
        np.memmap(folder / "validation.bin", dtype=dtype, mode="r"),
    )
