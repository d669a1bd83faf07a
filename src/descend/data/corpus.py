"""A corpus: which files a person means, and the documents in them.

`resolve_corpus` says where the text is without reading it; `read_documents` streams it.
"""

from __future__ import annotations

import difflib
import hashlib
import logging
import os
import re
import stat
import sys
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

from descend.data import hub_dataset
from descend.data.book_license import drop_book_licenses
from descend.data.cache_dir import (
    STREAMS,
    cache_dir,
    find_stream_copy,
    is_stream_copy,
    missing_stream_copy,
)
from descend.data.document import Document, group_parts
from descend.data.file_discovery import find_text_files, is_text_file
from descend.data.readers import TEXT_SUFFIXES, read_file
from descend.data.readers.charset import foreign_sample
from descend.data.readers.codepages import rank_code_pages
from descend.data.readers.decompression import read_error
from descend.data.readers.options import DEFAULT_OPTIONS, ReadOptions, check_encoding
from descend.data.readers.slack_export import read_user_names
from descend.data.stream_copy import copy_to_cache
from descend.data.unread_bytes import count_unread_bytes
from descend.errors import CorpusError
from descend.guard import escape_surrogates, hash_file

DEFAULT_CORPUS = "python"
_BLOCK_BYTES = 1 << 20
# A document may begin with this many characters of nothing before it counts as text.
_MAX_EMPTY_CHARS = 1 << 24
# Places where no character composes with the one before it, so that both sides of it can be
# normalised apart: before ASCII, CJK punctuation and ideographs (and after any newline).
_NFC_BOUNDARY = re.compile(r"(?<!\r)[\x00-\x7f\u3000-\u3029\u4e00-\u9fff]")
# Of a folder whose files are not UTF-8: so many of them, from the beginning of each so many bytes,
# decide on the encoding they have in common.
_FILES_SAMPLED, _BEGINNING_BYTES, _SAMPLE_BYTES = 200, 1 << 18, 1 << 12

_log = logging.getLogger("descend")

# A stream can be read once, but a verb asks for its text more than once: the copy of each, by the
# object of standard input or by device and number of a pipe.
_copies: dict[object, CorpusSource] = {}


@dataclass(frozen=True, slots=True)
class CorpusSource:
    """Where the text of a corpus is.

    `name` is for humans; `paths` are the files, sorted, below the folder `root` (the folder
    of the file if one file was named); an embedded corpus has its name in `embedded` and no
    files. `fingerprint` is a SHA-256 (hex) that changes when the text may have changed: over
    path below root, size and modification time of each file; over what makes it for an
    embedded corpus; over the content for standard input. `notes` are sentences on what of a
    folder is left out, for whoever begins to read it; `options` are those it was found with;
    `user_files` name the people of an export of Slack.
    """

    name: str
    paths: tuple[Path, ...]
    root: Path | None
    embedded: str | None
    fingerprint: str
    warnings: tuple[str, ...] = ()
    options: ReadOptions = DEFAULT_OPTIONS
    user_files: tuple[Path, ...] = ()

    @property
    def is_stream_copy(self) -> bool:
        """Return whether this was a stream, of which the one file in `paths` is a copy."""
        return self.root == cache_dir() / STREAMS


def resolve_corpus(
    corpus_dir: str | None,
    accept: Callable[[Path], bool] = is_text_file,
    options: ReadOptions = DEFAULT_OPTIONS,
) -> CorpusSource:
    """Return what `corpus_dir` means: None, `-`, `hf:NAME`, a folder, a file, or an embedded
    corpus.

    None is the embedded corpus `python`, `-` standard input, `hf:NAME` a data set of the hub. A
    stream is read by the first call of a process; later ones get the same copy. A file or folder
    goes before an embedded corpus of the same name. Of a folder, the files that `accept` takes are
    the corpus. Raises
    `CorpusError` if it is missing, empty, unreadable, or a folder without text files, `ConfigError`
    for an unknown encoding. `options` say how it will be read, and change its fingerprint.
    """
    if options == DEFAULT_OPTIONS:
        return _find(corpus_dir, accept, options)
    if options.encoding is not None:
        check_encoding(options.encoding)
    source = _find(corpus_dir, accept, options)
    of_options = hashlib.sha256(f"{source.fingerprint} {options}".encode()).hexdigest()
    return replace(source, options=options, fingerprint=of_options)


def _find(
    corpus_dir: str | None, accept: Callable[[Path], bool], options: ReadOptions
) -> CorpusSource:
    if corpus_dir is None:
        return _embedded(DEFAULT_CORPUS)
    if not corpus_dir.strip():  # else the folder that one happens to stand in
        raise CorpusError(
            "corpus_dir", "an empty name", "a folder, a file or a built-in corpus",
            "name one, `.` for this folder",
        )  # fmt: skip
    if corpus_dir == "-":
        return _cached_copy(
            sys.stdin, lambda: _copy_stream_to_cache(_blocks(sys.stdin.buffer), "standard input")
        )
    if corpus_dir.startswith(hub_dataset.PREFIX):
        return _cached_copy(
            (corpus_dir, options.split, options.columns),
            lambda: _copy_stream_to_cache(
                hub_dataset.stream_json_lines(corpus_dir, options), corpus_dir, ".jsonl"
            ),
        )
    if escape_surrogates(corpus_dir) != corpus_dir:  # no record could hold it
        raise CorpusError(
            escape_surrogates(corpus_dir), "a name that is no text", "a name in UTF-8", "rename it"
        )
    path = find_stream_copy(Path(os.path.expanduser(corpus_dir)))
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        if corpus_dir in _embedded_names():
            return _embedded(corpus_dir)
        raise _missing(corpus_dir, path) from None
    except OSError as error:
        raise read_error(corpus_dir, error) from None
    if stat.S_ISDIR(status.st_mode):
        listed = find_text_files(path, accept, options.split)
        fingerprint = _fingerprint(listed.files | listed.user_files, path)
        return CorpusSource(
            corpus_dir, tuple(listed.files), path, None, fingerprint, listed.warnings,
            user_files=tuple(listed.user_files),
        )  # fmt: skip
    try:
        if not stat.S_ISREG(status.st_mode):  # a pipe, as of `descend train <(zcat a.gz)`
            return _cached_copy((status.st_dev, status.st_ino), lambda: _piped(path, corpus_dir))
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise read_error(corpus_dir, error) from None
    if empty:
        raise _empty(corpus_dir, "an empty file")
    fingerprint = _fingerprint({path: status}, path.parent)
    return CorpusSource(corpus_dir, (path,), path.parent, None, fingerprint)


def read_documents(
    source: CorpusSource, *, normalize: str = "none", skipped: list[str] | None = None
) -> Iterator[Document]:
    """Yield all documents in order, those without any visible character left out.

    `normalize='nfc'` gives the NFC form of each document. In a folder of several files, one
    that cannot be read is skipped with a warning, and its name added to `skipped`. Books of
    Project Gutenberg come without their license. Raises `CorpusError` if nothing remains, or if
    the copy of a stream is not what came.
    """
    if source.is_stream_copy:
        _check_stream_copy(source)
    documents = drop_book_licenses(_all_documents(source, [] if skipped is None else skipped))
    if normalize == "nfc":
        documents = _normalized(documents)
    any_text = False
    for document in _drop_empty(documents):
        any_text = True
        yield document
    if not any_text:
        raise CorpusError(
            source.name, "no readable text", "files with text in them", "name another corpus"
        )


def _check_stream_copy(source: CorpusSource) -> None:
    """Raise `CorpusError` if a copy of a stream is damaged: its name is its SHA-256."""
    (path,) = source.paths
    if hash_file(path) != path.stem:
        raise CorpusError(
            str(path), "a copy of a stream that is damaged", "what came from the stream",
            "give the text once more",
        )  # fmt: skip


def is_now_readable(source: CorpusSource, skipped: Collection[str]) -> bool:
    """Return whether a file of `source` that was skipped before can be read now."""
    paths = source.paths if skipped else ()
    names = {escape_surrogates(_relative(path, source.root)): path for path in paths}
    is_readable = False
    for name in skipped:
        try:
            # To its end: damage may stand anywhere.
            is_readable |= (
                sum(1 for _ in read_file(names[name], name=name, options=source.options)) > 0
            )
        except CorpusError:
            continue
    return is_readable


def _all_documents(source: CorpusSource, skipped: list[str]) -> Iterator[Document]:
    if source.embedded is not None:
        from descend.data import builtin_corpora

        yield from builtin_corpora.read_builtin_corpus(source.embedded)
        return
    options, unread, whole = file_options(source), 0, 0
    for path in source.paths:
        name = _relative(path, source.root) if len(source.paths) > 1 else source.name
        name = escape_surrogates(name)  # it is shown
        began = False
        try:
            for document in read_file(path, name=name, options=options):
                began = True
                yield document
        except CorpusError as error:
            if len(source.paths) == 1:
                raise
            whole = whole or sum(map(_size, source.paths))
            lost = count_unread_bytes(path, error.location if began else "")
            _log.warning(
                "skipped %s%s (found %s; %.1f %% of the bytes)", escape_surrogates(error.location),
                " to the end of the file" if lost < _size(path) else "", error.actual,
                100 * lost / max(1, whole),
            )  # fmt: skip
            skipped.append(name)
            unread += lost
    if len(skipped) > 1:
        _log.warning(
            "skipped %d of %d files, %.1f %% of the bytes", len(skipped), len(source.paths),
            100 * unread / max(1, whole),
        )  # fmt: skip


def file_options(source: CorpusSource) -> ReadOptions:
    """Return how each file of `source` is to be read, with what the files of a folder suggest
    together.

    Looks at the beginnings of `_FILES_SAMPLED` files at most.
    """
    options = replace(source.options, user_names=read_user_names(source.user_files))
    texts = [path for path in source.paths if _has_text_suffix(path)]
    if options.encoding is not None or len(texts) < 2:
        return options
    step = -(-len(texts) // _FILES_SAMPLED)
    samples = [foreign_sample(partial(_beginning, path)) for path in texts[::step]]
    samples = [sample[:_SAMPLE_BYTES] for sample in samples if sample]
    if len(samples) < 2:
        return options
    return replace(options, folder_encoding=rank_code_pages(b"\n".join(samples)).best)


def _has_text_suffix(path: Path) -> bool:
    return not path.suffix or path.suffix.lower() in TEXT_SUFFIXES


def _beginning(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            data = file.read(_BEGINNING_BYTES)
    except OSError:
        data = b""
    yield data[: data.rfind(b"\n") + 1] or data


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _drop_empty(documents: Iterator[Document]) -> Iterator[Document]:
    """Drop documents of white space alone; their parts wait until one has more."""
    for parts in group_parts(documents):
        pending, num_chars = [], 0
        for part in parts:
            pending.append(part)
            num_chars += len(part.text)
            if part.text.strip() or num_chars > _MAX_EMPTY_CHARS:
                yield from pending
                yield from parts


def _normalized(documents: Iterator[Document]) -> Iterator[Document]:
    """NFC of each document, whose parts are cut where both sides normalise apart."""
    for parts in group_parts(documents):
        pending = next(parts)
        for part in parts:
            whole = pending.text + part.text
            cut = _last_boundary(whole)
            yield replace(pending, text=unicodedata.normalize("NFC", whole[:cut]))
            pending = replace(part, text=whole[cut:])
        if pending.text:
            yield replace(pending, text=unicodedata.normalize("NFC", pending.text))


def _last_boundary(text: str) -> int:
    """Return the last place to cut for NFC; 0, so that all waits for what follows, if there is
    none."""
    after_newline = text.rfind("\n") + 1
    if after_newline:
        return after_newline
    for at in range(len(text) - 1, 0, -1):
        if _NFC_BOUNDARY.match(text, at):
            return at
    return 0


def _cached_copy(stream: object, copy: Callable[[], CorpusSource]) -> CorpusSource:
    """Return the copy of `stream`, made where this process has none yet."""
    if stream not in _copies:
        _copies[stream] = copy()
    return _copies[stream]


def _piped(path: Path, name: str) -> CorpusSource:
    with path.open("rb") as file:
        return _copy_stream_to_cache(_blocks(file), name)


def _blocks(stream: BinaryIO) -> Iterator[bytes]:
    while block := stream.read(_BLOCK_BYTES):
        yield block


def _copy_stream_to_cache(blocks: Iterator[bytes], name: str, suffix: str = ".txt") -> CorpusSource:
    """Return a stream as a file in the cache, named by its content, so that it can be read
    twice."""
    path = copy_to_cache(blocks, name, suffix)
    if path is None:
        raise _empty(name, "nothing")
    return CorpusSource(name, (path,), path.parent, None, path.stem)


def _fingerprint(files: Mapping[Path, os.stat_result], root: Path) -> str:
    digest = hashlib.sha256()
    for path, status in files.items():
        line = f"{_relative(path, root)}\0{status.st_size}\0{status.st_mtime_ns}\n"
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _relative(path: Path, root: Path | None) -> str:
    return path.relative_to(root).as_posix() if root is not None else str(path)


def _embedded_names() -> tuple[str, ...]:
    from descend.data import builtin_corpora

    return builtin_corpora.BUILTIN_CORPORA


def _embedded(name: str) -> CorpusSource:
    from descend.data import builtin_corpora

    return CorpusSource(name, (), None, name, builtin_corpora.corpus_fingerprint(name))


def _missing(corpus_dir: str, path: Path) -> CorpusError:
    if is_stream_copy(path):
        return missing_stream_copy(corpus_dir)
    try:
        siblings = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        siblings = []
    near = difflib.get_close_matches(path.name, siblings, n=1)
    guess = str(path.parent / near[0]) if near else None
    if guess is None:
        guess = next(iter(difflib.get_close_matches(corpus_dir, _embedded_names(), n=1)), None)
    names = ", ".join(_embedded_names())
    return CorpusError(
        corpus_dir, "no such file or folder",
        f"a folder, a file, - for standard input, hf:NAME, or a built-in corpus ({names})",
        f"did you mean {guess}" if guess else "correct the path",
    )  # fmt: skip


def _empty(where: str, actual: str) -> CorpusError:
    return CorpusError(where, actual, "text", "put text there or name another corpus")
