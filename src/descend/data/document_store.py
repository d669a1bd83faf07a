"""The text of a corpus once on disk, so that every later pass is cheap.

A document store is a folder: `text.bin` (all documents in UTF-8, back to back), `offsets.npy`
(int64, documents + 1: where each begins, and the end of the last), `hashes.npy` (uint64, a
content hash a document) and `document_store.json`, written last, without which it is not whole.
"""

from __future__ import annotations

import builtins
import hashlib
import json
import logging
import os
import shutil
import tempfile
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from descend.data.document import Document
from descend.errors import CorpusError, DiskWriteError

_FORMAT = 1
_COPY_BYTES = 1 << 20


@dataclass(frozen=True)
class DocumentStore:
    """The documents of a corpus as bytes, mapped into memory (not read) from `folder`.

    `text`: uint8 (bytes), read-only; `offsets`: int64 (documents + 1); `hashes`: uint64
    (documents), equal for documents of equal bytes; `sha256`: hex, of all of `text`.
    """

    folder: Path
    text: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    hashes: NDArray[np.uint64]
    sha256: str

    def __len__(self) -> int:
        return len(self.hashes)

    def __reduce__(self) -> tuple[Callable[[Path], DocumentStore], tuple[Path]]:
        # To another process goes the place, not the text.
        return open_document_store, (self.folder,)

    @property
    def nbytes(self) -> int:
        """Bytes of all documents together."""
        return int(self.offsets[-1])

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Bytes of each document: int64 (documents)."""
        return np.diff(self.offsets)

    def bytes(self, start: int, end: int) -> builtins.bytes:
        """Return the text from byte `start` up to, not including, byte `end`."""
        return self.text[start:end].tobytes()

    def document_bytes(self, i: int) -> builtins.bytes:
        """Document `i`, whole, in UTF-8. Raises `IndexError` beyond the last."""
        if not -len(self) <= i < len(self):
            raise IndexError(f"document {i} of {len(self)}")
        i %= len(self)
        return self.bytes(int(self.offsets[i]), int(self.offsets[i + 1]))


def build_document_store(
    documents: Iterator[Document], folder: Path, *, sample_size: int | None = None, seed: int = 0
) -> DocumentStore:
    """Write the documents to `folder` and open it; what stood there is replaced at the end.

    Parts are joined to documents, empty documents left out; half of a surrogate pair, which
    UTF-8 cannot hold, becomes U+FFFD. `sample_size` takes that many documents at random, the
    same for the same seed, in their order; with fewer documents all are taken, and a
    warning says so. Raises `CorpusError` if there is no text, `DiskWriteError` if it cannot be
    written.
    """
    with translate_disk_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        offsets, hashes, sha256 = _write_text(documents, aside)
        if sample_size is not None:
            if sample_size > len(hashes):
                logging.getLogger("descend").warning(
                    "sample_size: %d documents requested, the corpus has %d; all are used",
                    sample_size, len(hashes),
                )  # fmt: skip
            elif sample_size < len(hashes):
                indices = sample_indices(len(hashes), sample_size, seed)
                with translate_disk_errors(folder):
                    offsets, sha256 = _keep(aside / "text.bin", offsets, indices)
                hashes = hashes[indices]
        with translate_disk_errors(folder):
            np.save(aside / "offsets.npy", offsets)
            np.save(aside / "hashes.npy", hashes)
            facts = {"format": _FORMAT, "documents": len(hashes), "bytes": int(offsets[-1])}
            text = json.dumps(facts | {"sha256": sha256})
            (aside / "document_store.json").write_text(text, "utf-8")
            _replace(aside, folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return open_document_store(folder)


def open_document_store(folder: Path) -> DocumentStore:
    """Open a stored text. Raises `CorpusError` if it is missing, partial or damaged."""
    try:
        facts: dict[str, Any] = json.loads((folder / "document_store.json").read_text("utf-8"))
        offsets = np.load(folder / "offsets.npy", mmap_mode="r", allow_pickle=False)
        hashes = np.load(folder / "hashes.npy", mmap_mode="r", allow_pickle=False)
        text = np.memmap(folder / "text.bin", dtype=np.uint8, mode="r")
        whole = (
            facts["format"] == _FORMAT
            and len(offsets) == len(hashes) + 1 == facts["documents"] + 1
            and len(text) == offsets[-1] == facts["bytes"]
        )
        sha256 = str(facts["sha256"])
    except (OSError, ValueError, KeyError, TypeError, IndexError, EOFError):
        whole = False
    if not whole:
        raise CorpusError(
            str(folder), "no complete document store", "all of its files",
            "delete this folder and run again",
        )  # fmt: skip
    return DocumentStore(folder, text, offsets, hashes, sha256)


def sample_indices(count: int, size: int, seed: int) -> NDArray[np.int64]:
    """Return `size` of the numbers below `count`, at random by `seed`, ascending: int64 (size)."""
    return np.sort(shuffled_indices(count, seed)[:size])


def shuffled_indices(count: int, seed: int) -> NDArray[np.int64]:
    """Return the numbers below `count` in an order decided by `seed`: int64 (count).

    From the raw stream of PCG64, which numpy promises never to change, unlike those of
    `permutation` and `choice`.
    """
    return np.argsort(np.random.PCG64(seed).random_raw(count), kind="stable").astype(np.int64)


def _write_text(
    documents: Iterator[Document], folder: Path
) -> tuple[NDArray[np.int64], NDArray[np.uint64], str]:
    """Write `text.bin`; offsets and hashes of the documents and the SHA-256 of the text."""
    offsets, hashes = array("q", (0,)), array("Q")
    total = hashlib.sha256()
    position = 0
    with (folder / "text.bin").open("wb") as file:
        one = hashlib.blake2b(digest_size=8)

        def end_document() -> None:
            if position > offsets[-1]:
                offsets.append(position)
                hashes.append(int.from_bytes(one.digest(), "little"))

        for document in documents:
            if document.part_index == 0:
                end_document()
                one = hashlib.blake2b(digest_size=8)
            data = encode_utf8(document.text)
            one.update(data)
            total.update(data)
            _write(file, data, folder)
            position += len(data)
        end_document()
        with translate_disk_errors(folder):
            file.flush()
    if not hashes:
        raise CorpusError("corpus", "no text", "documents with text in them", "name another corpus")
    return (
        np.frombuffer(offsets, dtype=np.int64).copy(),
        np.frombuffer(hashes, dtype=np.uint64).copy(),
        total.hexdigest(),
    )


def _keep(
    text: Path, offsets: NDArray[np.int64], indices: NDArray[np.int64]
) -> tuple[NDArray[np.int64], str]:
    """Move the chosen documents to the front of the file and cut it there."""
    total = hashlib.sha256()
    lengths = np.diff(offsets)[indices]
    new_offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    with text.open("r+b") as file:
        for number, i in enumerate(indices.tolist()):
            source, target, remaining_bytes = (
                int(offsets[i]),
                int(new_offsets[number]),
                int(lengths[number]),
            )
            while remaining_bytes:
                file.seek(source)
                block = file.read(min(remaining_bytes, _COPY_BYTES))
                total.update(block)
                file.seek(target)
                file.write(block)
                source, target, remaining_bytes = (
                    source + len(block),
                    target + len(block),
                    remaining_bytes - len(block),
                )
        file.truncate(int(new_offsets[-1]))
    return new_offsets, total.hexdigest()


def encode_utf8(text: str) -> bytes:
    """Return the text in UTF-8, with U+FFFD for halves of surrogate pairs that stand alone."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        # By way of UTF-16, halves that stand side by side find together again.
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode("utf-8")


def _write(file: BinaryIO, data: bytes, folder: Path) -> None:
    with translate_disk_errors(folder):
        file.write(data)


def _replace(aside: Path, folder: Path) -> None:
    """Put the finished folder in the place of one that may be there and be in use."""
    if folder.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        os.replace(folder, old / "old")
        os.replace(aside, folder)
        shutil.rmtree(old, ignore_errors=True)
    else:
        os.replace(aside, folder)


class translate_disk_errors:
    """Failures to write become one `DiskWriteError` that names the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise DiskWriteError(
                str(self.folder), f"no way to write there ({error.strerror or error})",
                "a folder with room for the text",
                "free some space or set DESCEND_CACHE_DIR to another folder",
            ) from None  # fmt: skip
