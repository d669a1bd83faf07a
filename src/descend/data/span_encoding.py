"""Spans of a stored text as token ids, a segment at a time; also in several processes at once.

The ids of a span depend on it alone, so spans can be divided among processes without changing a
byte of the result.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from descend.data.cached_encoder import make_encoder, token_id_dtype
from descend.data.document_store import DocumentStore, open_document_store
from descend.data.line_chunks import run_pieces, split_at_newlines
from descend.data.split import Spans
from descend.data.tokenizer import Tokenizer, load_tokenizer
from descend.machine import count_idle_cores

_CHUNK_CHARACTERS = 2**16
_CHARACTERS_AT_ONCE = 2**20
"""Encoded together, on all cores: the tokenizer holds some 130 bytes a token until they are copied,
so this bounds memory to about 50 MB, whatever the size of the corpus."""

MIN_SHARD_BYTES = 2**24
"""Text from which a process of its own pays: some five seconds of encoding."""


class Shard(NamedTuple):
    """Spans that one process encodes."""

    spans: Spans
    is_complete: bool
    """Whether the last span ends here, rather than going on in the next shard."""


def iter_texts(documents: DocumentStore, spans: Spans) -> Iterator[str]:
    """Yield the text of `spans` in pieces of about 65,536 characters; none crosses a span."""
    for start, end in spans:
        for begin, stop in _iter_ranges(documents, int(start), int(end)):
            for piece in split_at_newlines(
                documents.bytes(begin, stop).decode(), _CHUNK_CHARACTERS
            ):
                yield from run_pieces(piece)


def _iter_ranges(documents: DocumentStore, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the byte ranges in which a span is read: each ends where a tokenizer hardly notices."""
    while start < end:
        stop = min(end, start + 4 * _CHUNK_CHARACTERS)
        if stop < end:  # not inside a character, and after a newline where there is one
            cut = documents.bytes(start, stop).rfind(b"\n") + 1
            if cut:
                stop = start + cut
            else:
                while (documents.bytes(stop, stop + 1)[0] & 0xC0) == 0x80:
                    stop -= 1
        yield start, stop
        start = stop


def encode_spans(
    documents: DocumentStore, spans: Spans, tokenizer: Tokenizer
) -> Iterator[tuple[bytes, int]]:
    """Yield the ids of `spans` in order, an end-of-text token before and after each, and the bytes
    of text that they stand for."""
    yield _end_of_text(tokenizer), 0
    yield from encode_shard(documents, Shard(spans, True), tokenizer)


def write_tokens(
    documents: DocumentStore,
    spans: Spans,
    tokenizer: Tokenizer,
    path: Path,
    on_progress: Callable[[int], None],
    num_processes: int | None = None,
) -> int:
    """Write the ids of `spans` to `path` in fixed memory; returns the bytes of text encoded.

    `num_processes`: None, as many as there are idle cores and text for.
    """
    nbytes = int((spans[:, 1] - spans[:, 0]).sum())
    if num_processes is None:  # to look for idle cores takes a moment
        max_processes = nbytes // MIN_SHARD_BYTES
        num_processes = min(max_processes, count_idle_cores()) if max_processes > 1 else 1
    first, *others = divide_spans(documents, spans, max(1, num_processes))
    children = [_start(documents, shard, tokenizer, _beside(path, n)) for n, shard in
                enumerate(others, 1)]  # fmt: skip
    done = 0
    try:
        with path.open("wb") as file:
            file.write(_end_of_text(tokenizer))
            for ids, encoded in encode_shard(documents, first, tokenizer):
                file.write(ids)
                done += encoded
                on_progress(min(nbytes, done * (len(others) + 1)))
            for number, (child, shard) in enumerate(zip(children, others, strict=True), 1):
                part = _beside(path, number)
                if child.wait() != 0:  # too little memory for another process: done in this one
                    _write_shard(documents, shard, tokenizer, part)
                with part.open("rb") as encoded_part:
                    shutil.copyfileobj(encoded_part, file)
    finally:
        for number, child in enumerate(children, 1):
            child.kill()
            child.wait()
            for leftover in (_beside(path, number), *_inputs(_beside(path, number))):
                leftover.unlink(missing_ok=True)
    return nbytes


def divide_spans(documents: DocumentStore, spans: Spans, count: int) -> list[Shard]:
    """Cut `spans` into at most `count` shards of like size, at the ends of ranges that are read."""
    if count == 1 or not len(spans):
        return [Shard(spans, True)]
    totals = np.cumsum(spans[:, 1] - spans[:, 0])
    goals = [int(totals[-1]) * number // count for number in range(1, count)]
    shards, index, begin = [], 0, int(spans[0, 0])
    for goal in [*goals, int(totals[-1])]:
        last = int(np.searchsorted(totals, goal))
        end = int(spans[last, 1])
        target = end - (int(totals[last]) - goal)
        if last < index or (last == index and target <= begin):
            continue  # the shard before was cut beyond it
        ranges = _iter_ranges(documents, begin if last == index else int(spans[last, 0]), end)
        stop = next(stop for _, stop in ranges if stop >= target)
        part = spans[index : last + 1].copy()
        part[0, 0], part[-1, 1] = begin, stop
        shards.append(Shard(part, stop == end))
        index, begin = (last, stop) if stop < end else (last + 1, 0)
        if stop == end and index < len(spans):
            begin = int(spans[index, 0])
    return shards


def encode_shard(
    documents: DocumentStore, shard: Shard, tokenizer: Tokenizer
) -> Iterator[tuple[bytes, int]]:
    """Yield the ids of a shard, an end-of-text token after each span, and the bytes of its text."""
    end = _end_of_text(tokenizer)
    encode = make_encoder(tokenizer)
    count = len(shard.spans)
    # None marks the end of a document.
    chunks = itertools.chain.from_iterable(
        itertools.chain(
            iter_texts(documents, shard.spans[i : i + 1]),
            [None] if shard.is_complete or i + 1 < count else [],
        )
        for i in range(count)
    )
    for group in _groups(chunks):
        texts = [chunk for chunk in group if chunk is not None]
        encoded = iter(encode(texts))
        ids = b"".join(end if chunk is None else next(encoded) for chunk in group)
        yield ids, sum(len(text.encode()) for text in texts)


def _end_of_text(tokenizer: Tokenizer) -> bytes:
    return np.array([tokenizer.eos_token_id], dtype=token_id_dtype(tokenizer)).tobytes()


def _groups(chunks: Iterable[str | None]) -> Iterator[list[str | None]]:
    """Yield `pieces` in order, in lists of about `_CHARACTERS_AT_ONCE` characters."""
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


def _beside(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")


def _inputs(path: Path) -> tuple[Path, Path]:
    """Return where a process finds its spans and its tokenizer, beside the `path` it writes to."""
    return path.with_suffix(path.suffix + ".npy"), path.with_suffix(path.suffix + ".json")


def _start(
    documents: DocumentStore, shard: Shard, tokenizer: Tokenizer, path: Path
) -> subprocess.Popen[bytes]:
    """Start a process that writes the ids of `shard` to `path`."""
    spans_file, tokenizer_file = _inputs(path)
    np.save(spans_file, shard.spans)
    tokenizer_file.write_bytes(tokenizer.to_bytes())
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(sys.path), "TOKENIZERS_PARALLELISM": "false",
    }  # fmt: skip
    command = [sys.executable, "-P", "-m", "descend.data.span_encoding"]
    arguments = [str(documents.folder), str(path), str(int(shard.is_complete))]
    return subprocess.Popen(
        [*command, *arguments], env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def _write_shard(documents: DocumentStore, shard: Shard, tokenizer: Tokenizer, path: Path) -> None:
    with path.open("wb") as file:
        for ids, _ in encode_shard(documents, shard, tokenizer):
            file.write(ids)


def main() -> None:
    """Encode the shard that `_start` describes."""
    folder, path, is_complete = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "1"
    spans_file, tokenizer_file = _inputs(path)
    shard = Shard(np.load(spans_file, allow_pickle=False), is_complete)
    _write_shard(open_document_store(folder), shard, load_tokenizer(tokenizer_file), path)


if __name__ == "__main__":
    main()
