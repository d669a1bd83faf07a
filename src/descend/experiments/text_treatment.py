"""Treatments of the text itself: documents that are copies of others are left out.

The text without them is written once into the folder of an improvement, and trained on from there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from descend.config import make_config
from descend.data.contamination.duplicate_documents import find_exact_duplicates
from descend.data.document_store import DocumentStore
from descend.data.prepare import prepare_documents
from descend.data.token_store import PreparedCorpus
from descend.experiments.validation_text import ValidationText
from descend.runs.atomic_write import write_file_atomic

MIN_DUPLICATE_FRACTION = 0.05
"""Fraction of bytes in documents that stand in the text before, from which they are left out
(`reference_ranges`)."""

MIN_SHARED_FRACTION = 0.5
"""Fraction of the validation text that must stay held out once the copies are gone."""

TEXT_FILE = "text_without_copies.jsonl"

READING_KEYS = ("encoding", "text_column", "split", "sample_size", "normalize")
"""Keys that decide what is read of a text. What is written here was read with them already."""


@dataclass(frozen=True, eq=False)
class TextTreatment:
    """What was done to a text, and how the validation text is read since."""

    keys: dict[str, Any]
    """Of the configuration: where the text is now."""
    validation: ValidationText
    duplicate_fraction: float
    """Fraction of bytes in documents that stand in the text before."""
    is_applied: bool


def treat_text(keys: dict[str, Any], validation: ValidationText, folder: Path) -> TextTreatment:
    """Leave out the copies of documents from the text of `keys`, if that is worth it.

    What is held out stays held out: models are judged on the documents that are so before and
    after. Where those are too few, nothing is done.
    """
    corpus = validation.corpus
    copies = find_exact_duplicates(corpus.documents.hashes)
    copied_bytes = float(corpus.documents.lengths[copies].sum()) if len(copies) else 0.0
    fraction = copied_bytes / max(corpus.documents.nbytes, 1)
    untreated = TextTreatment(keys, validation, fraction, False)
    if fraction < MIN_DUPLICATE_FRACTION or corpus.split.method != "documents":
        return untreated
    file = folder / TEXT_FILE
    folder.mkdir(parents=True, exist_ok=True)
    write_file_atomic(file, _without_copies(corpus.documents, set(copies.tolist())))
    treated_keys = {k: v for k, v in keys.items() if k not in READING_KEYS}
    treated_keys["corpus_dir"] = str(file)
    counted = validation.counted & _shared_validation_bytes(
        corpus, prepare_documents(make_config(treated_keys))
    )
    if counted.sum() < MIN_SHARED_FRACTION * max(_unique_validation_bytes(corpus), 1):
        return untreated
    return TextTreatment(treated_keys, ValidationText(corpus, counted), fraction, True)


def _without_copies(documents: DocumentStore, copies: set[int]) -> bytes:
    lines = (
        json.dumps({"text": documents.document_bytes(i).decode()}, ensure_ascii=False)
        for i in range(len(documents))
        if i not in copies
    )
    return "".join(line + "\n" for line in lines).encode()


def _validation_documents(corpus: PreparedCorpus) -> list[int]:
    starts = corpus.split.validation[:, 0]
    indices = np.searchsorted(corpus.documents.offsets, starts, side="right") - 1
    return [int(i) for i in indices]


def _shared_validation_bytes(before: PreparedCorpus, after: PreparedCorpus) -> np.ndarray[Any, Any]:
    """For each byte held out of `before`, whether it is the first of its document that stands
    there and `after` holds it out too."""
    if after.split.method != "documents":
        return np.zeros(before.split.validation_bytes, dtype=np.bool_)
    remaining = {int(after.documents.hashes[i]) for i in _validation_documents(after)}
    parts = []
    for index in _validation_documents(before):
        number = int(before.documents.hashes[index])
        parts.append(np.full(int(before.documents.lengths[index]), number in remaining))
        remaining.discard(number)
    return np.concatenate(parts)


def _unique_validation_bytes(corpus: PreparedCorpus) -> int:
    documents = _validation_documents(corpus)
    lengths = {int(corpus.documents.hashes[i]): int(corpus.documents.lengths[i]) for i in documents}
    return sum(lengths.values())
