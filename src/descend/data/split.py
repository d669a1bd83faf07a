"""The split of a stored text into training bytes and validation bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from descend.data.document_store import DocumentStore, shuffled_indices
from descend.errors import CorpusError
from descend.units import format_count

# How far from the requested share the validation part may be, as factors of it.
MIN_SIZE_RATIO, MAX_SIZE_RATIO = 0.5, 1.5
# A cut is moved to a newline at most this far, in bytes, and by at most a quarter of the
# validation part, so that it stays within the factors above.
_NEAR_BYTES = 1 << 16


Spans = NDArray[np.int64]
"""(n, 2): each from its start up to before its end, in bytes."""


@dataclass(frozen=True, eq=False)
class Split:
    """Byte spans of a stored text for each side: arrays, since there may be millions of documents.

    Spans ascend, never overlap, and each lies within one document (two spans never share
    one but where the block was cut off). `how`: whole documents were chosen, or the last
    block of the text was cut off.
    """

    train: Spans
    validation: Spans
    method: Literal["documents", "block"]

    @property
    def train_bytes(self) -> int:
        """Bytes to train on."""
        return _bytes(self.train)

    @property
    def validation_bytes(self) -> int:
        """Bytes held out."""
        return _bytes(self.validation)


def split_documents(documents: DocumentStore, fraction: float, seed: int) -> Split:
    """Hold out about `fraction` (0 to 0.5) of the bytes, the same for the same seed.

    Whole documents if a choice of them comes to between `MIN_SIZE_RATIO` and `MAX_SIZE_RATIO` of
    the requested fraction, documents of equal text always on the same side; else (one document, or
    one that outweighs the rest) the last block of the text. Raises `CorpusError` if there is too
    little text for two sides, `ValueError` if `fraction` is out of range.
    """
    if not 0 < fraction <= 0.5:
        raise ValueError(f"fraction {fraction}: expected above 0 and at most 0.5")
    is_validation = choose_validation_documents(documents.lengths, documents.hashes, fraction, seed)
    if is_validation is not None:
        return Split(
            _spans(documents, ~is_validation), _spans(documents, is_validation), "documents"
        )
    cut = _cut(documents, fraction)
    spans = _spans(documents, np.ones(len(documents), dtype=np.bool_))
    train = np.minimum(spans[spans[:, 0] < cut], cut)
    return Split(train, np.maximum(spans[spans[:, 1] > cut], cut), "block")


def choose_validation_documents(
    nbytes: NDArray[np.int64], hashes: NDArray[np.uint64], fraction: float, seed: int
) -> NDArray[np.bool_] | None:
    """Return which documents to hold out: bool (documents); None if no fair choice exists.

    Groups of equal documents are gone through in an order decided by `seed`; each that
    does not lift the sum over `MAX_SIZE_RATIO` of the requested fraction is taken until the share
    is reached. If that ends below `MIN_SIZE_RATIO` of it, all smaller groups together are too
    small, and one group of fitting size alone is taken, if there is one.
    """
    _, first, group = np.unique(hashes, return_index=True, return_inverse=True)
    sizes = np.bincount(group, weights=nbytes).astype(np.int64)
    target_bytes = fraction * float(nbytes.sum())
    # In the order of first appearance, so that the hash function has no say in the choice.
    order = np.argsort(first, kind="stable")[shuffled_indices(len(sizes), seed)]
    taken: list[int] = []
    validation_bytes = 0
    for number in order:  # not made a list: it ends early, and there may be millions
        size = int(sizes[number])
        if validation_bytes + size <= MAX_SIZE_RATIO * target_bytes:
            taken.append(int(number))
            validation_bytes += size
        if validation_bytes >= target_bytes:
            break
    if validation_bytes < MIN_SIZE_RATIO * target_bytes:
        fitting = order[
            (sizes[order] >= MIN_SIZE_RATIO * target_bytes)
            & (sizes[order] <= MAX_SIZE_RATIO * target_bytes)
        ]
        if not len(fitting):
            return None
        taken = [int(fitting[0])]
    return np.isin(group, np.array(taken, dtype=group.dtype))


def _spans(documents: DocumentStore, mask: NDArray[np.bool_]) -> Spans:
    return np.stack((documents.offsets[:-1][mask], documents.offsets[1:][mask]), axis=1)


def _bytes(spans: Spans) -> int:
    return int((spans[:, 1] - spans[:, 0]).sum())


def _cut(documents: DocumentStore, fraction: float) -> int:
    """Return where the held-out block begins: at a document, else after a newline, else between
    two characters, whichever is near."""
    total = documents.nbytes
    target_position = total - max(1, round(fraction * total))
    reach = min(_NEAR_BYTES, (total - target_position) // 4)
    low, high = max(1, target_position - reach), min(total - 1, target_position + reach)
    starts = documents.offsets[(documents.offsets >= low) & (documents.offsets <= high)]
    if len(starts):
        return int(starts[np.argmin(np.abs(starts - target_position))])
    if low <= high:
        newlines = np.flatnonzero(documents.text[low - 1 : high] == ord("\n")) + low
        if len(newlines):
            return int(newlines[np.argmin(np.abs(newlines - target_position))])
    # UTF-8 characters have at most four bytes, all but the first of the form 10xxxxxx.
    for cut in (
        target_position,
        target_position - 1,
        target_position - 2,
        target_position - 3,
        target_position + 1,
        target_position + 2,
        target_position + 3,
    ):
        if 0 < cut < total and documents.text[cut] & 0xC0 != 0x80:
            return cut
    raise CorpusError(
        "corpus", f"{format_count(total, 'byte')} of text",
        "enough text for a training and a validation set", "add more text",
    )  # fmt: skip
