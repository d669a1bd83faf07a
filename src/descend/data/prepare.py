"""From a configuration to text, tokenizer and tokens on disk: each made once, and cached."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from descend.config import RunConfig
from descend.data.cache_build import is_whole, open_cached
from descend.data.cache_dir import cache_dir, remember_path
from descend.data.contamination.exact_overlap import exact_overlap_fraction
from descend.data.corpus import is_now_readable, read_documents, resolve_corpus
from descend.data.corpus_warnings import collect_warnings, log_warnings
from descend.data.document_store import (
    DocumentStore,
    build_document_store,
    open_document_store,
)
from descend.data.ngram_baselines import compute_ngram_baselines
from descend.data.readers.options import read_options
from descend.data.span_encoding import write_tokens
from descend.data.split import split_documents
from descend.data.token_store import (
    PreparedCorpus,
    TokenStore,
    TokenStoreInfo,
    open_token_files,
)
from descend.data.tokenizer import Tokenizer, TokenizerKind, load_tokenizer, train_tokenizer
from descend.guard import decode_json, encode_json, hash_file, read_regular
from descend.progress import ProgressCallback, ignore_progress

# Raised whenever extraction, split or token layout change, so that old caches are not met.
_FORMAT = 8

# Beside a text: names of the files that could not be read, and all that was warned of.
_SKIPPED, _WARNINGS = "skipped.json", "notes.json"


def prepare_documents(
    config: RunConfig, progress: ProgressCallback = ignore_progress, *, anew: bool = False
) -> PreparedCorpus:
    """Find, read, sample and split the corpus of `config`; cached by what it was made from.

    Who begins `anew` has files tried again that could not be read when it was cached, and is
    warned of all that is left out or guessed; what looks back at a run wants the text that it had.
    Raises `CorpusError` for text that is missing, unreadable, empty or too short.
    """
    source = resolve_corpus(config.corpus_dir, options=read_options(config))
    if anew:
        remember_path(config.corpus_dir)
    made_from = (
        _FORMAT, source.fingerprint, config.normalize, config.sample_size,
        config.sample_size and config.data_seed,
    )  # fmt: skip
    key = hashlib.sha256(repr(made_from).encode()).hexdigest()[:24]
    folder = cache_dir() / "text" / key

    built: list[Path] = []

    def build(aside: Path) -> None:
        progress("reading text", 0.0)
        built.append(aside)
        skipped: list[str] = []
        documents = read_documents(source, normalize=config.normalize, skipped=skipped)
        with collect_warnings() as warnings:
            build_document_store(
                documents, aside, sample_size=config.sample_size, seed=config.data_seed
            )
        for name, names in ((_SKIPPED, skipped), (_WARNINGS, warnings)):
            if names:
                (aside / name).write_bytes(encode_json(names))

    whole = is_whole(folder)
    again = anew and whole and is_now_readable(source, _readable_names(folder / _SKIPPED))
    if anew or again or not whole:
        log_warnings(source.warnings)
    documents, skipped, warnings = open_cached(folder, build, _open_text, again)
    if anew and not built:
        log_warnings(warnings)
    split = split_documents(documents, config.validation_fraction, config.data_seed)
    if skipped:  # the same files may come to another text the next time
        key += f"-{documents.sha256[:24]}"
    return PreparedCorpus(
        source, documents, split, f"{key}-{config.validation_fraction}-{config.data_seed}"
    )


def _open_text(folder: Path) -> tuple[DocumentStore, list[str], list[str]]:
    """Return a stored text, the files that could not be read, and the warnings of its reading."""
    store = open_document_store(folder)
    return store, _listed(folder / _SKIPPED), _listed(folder / _WARNINGS)


def _listed(file: Path) -> list[str]:
    """Return the strings kept in `file` when the text beside it was read; none without it."""
    return decode_json(read_regular(file), list[str]) if file.is_file() else []


def _readable_names(file: Path) -> list[str]:
    """Return the listed names; none from a file of another format, which is made again."""
    try:
        return _listed(file)
    except (OSError, msgspec.DecodeError):
        return []


def prepare_tokenizer(
    text: PreparedCorpus,
    kind: TokenizerKind,
    vocab_size: int,
    progress: ProgressCallback = ignore_progress,
) -> Tokenizer:
    """Return a tokenizer trained on the training side of `text`; cached."""
    made_from = (_FORMAT, text.key, kind, vocab_size if kind == "bpe" else 0)
    name = hashlib.sha256(repr(made_from).encode()).hexdigest()[:24]

    def build(aside: Path) -> None:
        progress("training the tokenizer", 0.0)
        tokenizer = train_tokenizer(kind, vocab_size, text.train_texts)
        (aside / "tokenizer.json").write_bytes(tokenizer.to_bytes())

    return open_cached(cache_dir() / "tokenizers" / name, build, load_tokenizer)


def prepare_tokens(
    text: PreparedCorpus, tokenizer: Tokenizer, progress: ProgressCallback = ignore_progress
) -> TokenStore:
    """Return both sides of `text` as tokens, with what any model must beat; cached."""
    made_from = (_FORMAT, text.key, tokenizer.fingerprint)
    name = hashlib.sha256(repr(made_from).encode()).hexdigest()[:24]

    def build(aside: Path) -> None:
        total = text.documents.nbytes
        done = write_tokens(text.documents, text.split.train, tokenizer, aside / "train.bin",
                       lambda n: progress("tokenizing", n / total))  # fmt: skip
        write_tokens(text.documents, text.split.validation, tokenizer, aside / "validation.bin",
                lambda n: progress("tokenizing", (done + n) / total))  # fmt: skip
        train, validation = open_token_files(aside, tokenizer)
        progress("computing corpus statistics", 0.0)
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

    def open_tokens(folder: Path) -> TokenStore:
        info = decode_json(read_regular(folder / "info.json"), TokenStoreInfo)
        # Another folder with the same text has the same tokens, but not the same name.
        info = msgspec.structs.replace(info, corpus=text.source.name)
        train, validation = open_token_files(folder, tokenizer)
        if (len(train), len(validation)) != (info.train_tokens, info.validation_tokens):
            raise ValueError("another number of tokens")
        return TokenStore(train, validation, tokenizer, info, text)

    return open_cached(cache_dir() / "tokens" / name, build, open_tokens)
