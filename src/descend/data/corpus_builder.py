"""Gather text from files into a corpus: a folder of JSON lines that `resolve_corpus` reads.

Each call adds one file, `NAME.jsonl`, of records `{"text": ..., "source": ...}`. The hidden
`.gathered.json` beside them says which file came from where, so that gathering the same
source again replaces its file and no other.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import tempfile
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from descend.data.book_license import drop_book_licenses
from descend.data.contamination.boilerplate import (
    MAX_DOCUMENTS,
    recurring_units,
    without_boilerplate,
)
from descend.data.contamination.copied_passages import without_copied_passages
from descend.data.contamination.duplicate_documents import find_near_duplicates
from descend.data.corpus import CorpusSource, file_options, read_documents, resolve_corpus
from descend.data.corpus_warnings import log_warnings
from descend.data.document import Document, group_parts
from descend.data.document_store import encode_utf8, sample_indices
from descend.data.file_discovery import is_text_file
from descend.data.readers import read_file
from descend.data.readers.chunking import split_into_lines
from descend.data.readers.options import DEFAULT_OPTIONS, ReadOptions
from descend.errors import ConfigError, CorpusError, DiskWriteError
from descend.guard import sync_file, sync_folder

MANIFEST = ".gathered.json"
# A document beyond this many characters becomes several records, so that reading a record
# back never needs more memory than this.
MAX_RECORD_CHARS = 1 << 25


@dataclass(frozen=True, slots=True)
class CorpusBuildSummary:
    """What became of the sources.

    `path` is the file written and `bytes` its size. `documents` pieces of text are in it;
    the others were left out for the reason their count is named by.
    """

    path: Path
    files: int
    num_unreadable_files: int
    documents: int
    too_short: int
    exact_duplicates: int
    near_duplicates: int
    num_not_sampled: int
    bytes: int
    boilerplate_fraction: float = 0.0
    """Of the characters, dropped as passages that recur across documents."""
    copied_fraction: float = 0.0
    """Of the characters, dropped as passages that stood earlier in their document."""


@dataclass(frozen=True, slots=True)
class _BuildOptions:
    """How files become pieces of text, and which of these are kept; see `gather`."""

    extensions: tuple[str, ...] | None
    split: str
    chunk_chars: int
    overlap_chars: int
    min_length: int
    max_files: int | None
    sample_size: int | None
    seed: int
    deduplicate: str
    drop_boilerplate: bool


def build_corpus(  # noqa: PLR0913 - the options of `descend corpus add`, all by name
    src: Path | list[Path],
    dest: Path,
    *,
    extensions: tuple[str, ...] | None = None,
    split: Literal["document", "line", "chunk"] = "document",
    chunk_chars: int = 2000,
    overlap_chars: int = 0,
    min_length: int = 1,
    max_files: int | None = None,
    sample_size: int | None = None,
    seed: int = 0,
    deduplicate: Literal["none", "exact", "near"] = "none",
    drop_boilerplate: bool = False,
    options: ReadOptions = DEFAULT_OPTIONS,
) -> CorpusBuildSummary:
    """Write the text of the files and folders `src` as one file into the folder `dest`.

    `extensions`: take only these (with or without dot), known or not. `split`: a record per
    document, per line, or per chunk of `chunk_chars` characters, of which the first
    `overlap_chars` repeat the end of the one before. `min_length`: pieces of fewer
    characters, white space at the ends not counted, are dropped. `max_files`: read only the
    first so many files by path. `deduplicate`: `near` drops exact ones too, and
    passages of 256 characters and more that stood earlier in their document. `sample_size`:
    keep so many of what remains, at random by `seed`, in their order. `drop_boilerplate`: leave out
    passages that recur across documents. `options`: how files are read.

    Files that cannot be read are skipped with a warning if there are others. Raises
    `ConfigError` for options that do not fit, `CorpusError` if no text remains, `DiskWriteError`
    if it cannot be written; `dest` keeps what it had.
    """
    recipe = _BuildOptions(
        None if extensions is None else tuple(f".{e.lower().lstrip('.')}" for e in extensions),
        split, chunk_chars, overlap_chars, min_length, max_files, sample_size, seed, deduplicate,
        drop_boilerplate,
    )  # fmt: skip
    _check(recipe)
    inside = Path(os.path.realpath(dest))  # unlike Path.resolve, no error for a loop of links

    def accept(path: Path) -> bool:
        is_accepted = (
            is_text_file(path)
            if recipe.extensions is None
            else path.name.lower().endswith(recipe.extensions)
        )
        return is_accepted and inside not in path.resolve().parents

    paths = [src] if isinstance(src, Path) else src
    sources = [resolve_corpus(str(path), accept, options) for path in paths]
    log_warnings(warning for source in sources for warning in source.warnings)
    try:
        dest.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".gather-", dir=dest) as aside:
            return _gather(sources, dest, Path(aside), recipe)
    except OSError as error:
        raise DiskWriteError(
            str(dest), f"no way to write there ({error.strerror or error})",
            "a folder with room for the corpus", "free some space or name another folder",
        ) from None  # fmt: skip


def _check(recipe: _BuildOptions) -> None:
    for key, value, minimum in (
        ("chunk_chars", recipe.chunk_chars, 1),
        ("overlap_chars", recipe.overlap_chars, 0),
        ("min_length", recipe.min_length, 0),
        ("max_files", recipe.max_files, 1),
        ("sample_size", recipe.sample_size, 1),
    ):
        if value is not None and value < minimum:
            raise ConfigError(key, str(value), f"{minimum} or more", "raise it")
    if recipe.split == "chunk" and recipe.overlap_chars >= recipe.chunk_chars:
        raise ConfigError(
            "overlap_chars", str(recipe.overlap_chars),
            f"less than chunk_chars {recipe.chunk_chars}", "lower it or raise chunk_chars",
        )  # fmt: skip
    for key, word, known in (
        ("split", recipe.split, ("document", "line", "chunk")),
        ("deduplicate", recipe.deduplicate, ("none", "exact", "near")),
    ):
        if word not in known:
            raise ConfigError(key, repr(word), f"one of {', '.join(known)}", "choose one of them")


def _gather(
    sources: list[CorpusSource], dest: Path, aside: Path, recipe: _BuildOptions
) -> CorpusBuildSummary:
    counts: Counter[str] = Counter()
    chunk_file = aside / "pieces.jsonl"
    read = drop_book_licenses(_documents(sources, recipe.max_files, counts))
    pieces = _split_documents(read, recipe)
    if recipe.deduplicate == "near":
        pieces = _without_copied_passages(pieces, counts)
    offsets = _write_chunks(chunk_file, pieces, recipe, counts)
    if recipe.drop_boilerplate:
        cleaned = _without_boilerplate(chunk_file, offsets, counts)
        chunk_file = aside / "cleaned.jsonl"
        offsets = _write_chunks(chunk_file, cleaned, recipe, counts)
    line_numbers = np.arange(len(offsets) - 1)
    if recipe.deduplicate == "near":
        texts = (
            str(json.loads(line)["text"]) for line in _read_lines(chunk_file, offsets, line_numbers)
        )
        again = find_near_duplicates(texts)
        counts["near"] = len(again)
        line_numbers = np.delete(line_numbers, again)
    if recipe.sample_size is not None and recipe.sample_size < len(line_numbers):
        counts["not_sampled"] = len(line_numbers) - recipe.sample_size
        line_numbers = line_numbers[
            sample_indices(len(line_numbers), recipe.sample_size, recipe.seed)
        ]
    if not len(line_numbers):
        raise CorpusError(
            ", ".join(source.name for source in sources),
            f"no piece of text to keep ({counts['too_short']} shorter than min_length)",
            f"some of at least {recipe.min_length} characters", "lower min_length or add text",
        )  # fmt: skip
    whole = aside / "chosen.jsonl"
    with whole.open("wb") as file:
        for line in _read_lines(chunk_file, offsets, line_numbers):
            file.write(line)
        file.flush()
        os.fsync(file.fileno())
        size = file.tell()
    target = _publish(whole, dest, sources, recipe)
    return CorpusBuildSummary(
        target, counts["files"], counts["unreadable"], len(line_numbers), counts["too_short"],
        counts["exact"], counts["near"], counts["not_sampled"], size,
        counts["boilerplate"] / max(1, counts["characters"]),
        counts["copied"] / max(1, counts["gathered"]),
    )  # fmt: skip


def _documents(
    sources: list[CorpusSource], max_files: int | None, counts: Counter[str]
) -> Iterator[Document]:
    """Yield the documents of all files; counts the files read and those that could not be."""
    files = [(source, path) for source in sources for path in source.paths][:max_files]
    for source in sources:
        if source.embedded is not None:
            yield from read_documents(source)
    options = {source.name: file_options(source) for source in sources}
    for source, path in files:
        counts["files"] += 1
        try:
            yield from read_file(
                path, name=_source_name(source, path), options=options[source.name]
            )
        except CorpusError as error:
            if len(files) == 1:
                raise
            counts["unreadable"] += 1
            logging.getLogger("descend").warning("skipped %s (found %s)", path, error.actual)


def _source_name(source: CorpusSource, path: Path) -> str:
    """Return what a record says of where it came from: no path above the folder that was named."""
    if source.root is None or source.is_stream_copy:
        return source.name
    folder = Path(os.path.expanduser(source.name))
    top = folder.resolve().name if folder.is_dir() else ""
    return (Path(top) / path.relative_to(source.root)).as_posix()


def _write_chunks(
    path: Path, texts: Iterator[tuple[str, str]], recipe: _BuildOptions, counts: Counter[str]
) -> NDArray[np.int64]:
    """Write the pieces that are long enough and new; where each line begins, and the end."""
    offsets = array("q", (0,))
    known_hashes: set[bytes] = set()
    with path.open("wb") as file:
        for source, text in texts:
            if len(text.strip()) < max(1, recipe.min_length):
                counts["too_short"] += 1
                continue
            if recipe.deduplicate != "none":
                digest = hashlib.blake2b(encode_utf8(text), digest_size=16).digest()
                if digest in known_hashes:
                    counts["exact"] += 1
                    continue
                known_hashes.add(digest)
            record = json.dumps({"text": text, "source": source}, ensure_ascii=False)
            file.write(encode_utf8(record + "\n"))
            offsets.append(file.tell())
    return np.frombuffer(offsets, dtype=np.int64).copy()


def _without_copied_passages(
    pieces: Iterator[tuple[str, str]], counts: Counter[str]
) -> Iterator[tuple[str, str]]:
    """Yield the source and text of each piece, without what stood in it before."""
    for source, text in pieces:
        shorter = without_copied_passages(text)
        counts["gathered"] += len(text)
        counts["copied"] += len(text) - len(shorter)
        yield source, shorter


def _without_boilerplate(
    path: Path, offsets: NDArray[np.int64], counts: Counter[str]
) -> Iterator[tuple[str, str]]:
    """Yield the source and text of the pieces written to `path`, without what recurs across
    them."""
    numbers = np.arange(len(offsets) - 1)
    step = -(-len(numbers) // MAX_DOCUMENTS) or 1
    sample = numbers[::step]
    units = recurring_units(
        lambda: (str(json.loads(line)["text"]) for line in _read_lines(path, offsets, sample))
    )
    for number, line in enumerate(_read_lines(path, offsets, numbers)):
        record = json.loads(line)
        text = without_boilerplate(record["text"], units, number // step)
        counts["characters"] += len(record["text"])
        counts["boilerplate"] += len(record["text"]) - len(text)
        yield record["source"], text


def _split_documents(
    documents: Iterator[Document], recipe: _BuildOptions
) -> Iterator[tuple[str, str]]:
    """Yield the source and text of each piece; a document's parts are joined before it is cut."""
    for parts in group_parts(documents):
        first = next(parts)
        source, texts = first.source, (part.text for part in chain((first,), parts))
        if recipe.split == "line":
            for line in split_into_lines(texts, source):
                if line.strip():
                    yield source, line.rstrip("\r\n")
            continue
        size, overlap = MAX_RECORD_CHARS, 0
        if recipe.split == "chunk":
            size, overlap = recipe.chunk_chars, recipe.overlap_chars
        yield from ((source, text) for text in _chunks(texts, size, overlap))


def _chunks(texts: Iterator[str], size: int, overlap: int) -> Iterator[str]:
    """Chunks of `size` characters, each beginning with the last `overlap` of the one before.

    The last one is shorter; none consists of overlap alone.
    """
    pending, fresh = "", False
    for text in texts:
        pending, at = pending + text, 0
        fresh = fresh or bool(text)
        while len(pending) - at >= size:
            yield pending[at : at + size]
            at += size - overlap
            fresh = len(pending) - at > overlap
        pending = pending[at:]
    if pending and fresh:
        yield pending


def _read_lines(
    path: Path, offsets: NDArray[np.int64], line_numbers: NDArray[np.int64]
) -> Iterator[bytes]:
    with path.open("rb") as file:
        for i in line_numbers.tolist():
            file.seek(int(offsets[i]))
            yield file.read(int(offsets[i + 1] - offsets[i]))


def _publish(whole: Path, dest: Path, sources: list[CorpusSource], recipe: _BuildOptions) -> Path:
    """Move the finished file to its name in `dest` and note in the manifest what it is."""
    manifest = _manifest(dest)
    origin = {
        "sources": sorted(_origin(source) for source in sources),
        "extensions": sorted(recipe.extensions) if recipe.extensions else None,
    }
    names = [name for name, known in manifest.items() if known == origin]
    name = names[0] if names else _free_name(dest, manifest, sources)
    os.replace(whole, dest / name)
    aside = whole.with_name("manifest.json")
    aside.write_text(json.dumps(manifest | {name: origin}, indent=1), encoding="utf-8")
    sync_file(aside)
    os.replace(aside, dest / MANIFEST)
    sync_folder(dest)
    sync_folder(dest.resolve().parent)
    return dest / name


def _free_name(dest: Path, manifest: dict[str, Any], sources: list[CorpusSource]) -> str:
    first = Path(sources[0].name if sources[0].is_stream_copy else _origin(sources[0]))
    stem = re.sub(r"[^\w.-]+", "-", first.stem).strip("-.") or "text"
    stem += f"-and-{len(sources) - 1}-more" if len(sources) > 1 else ""
    name, number = f"{stem}.jsonl", 1
    while name in manifest or (dest / name).exists():
        number += 1
        name = f"{stem}-{number}.jsonl"
    return name


def _origin(source: CorpusSource) -> str:
    """Return what tells this source from all others: its path, or its content for a stream."""
    if source.embedded is not None:
        return source.embedded
    if source.is_stream_copy:
        return f"{source.name} {source.fingerprint}"
    return str(Path(os.path.expanduser(source.name)).resolve())


def _manifest(dest: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((dest / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}
