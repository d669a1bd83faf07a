"""Documents that are there twice, exactly or nearly."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Similarity is the fraction of common runs of this many words (Jaccard).
_SHINGLE_SIZE = 3
_SIMILARITY = 0.8
# 128 hashes estimate a similarity of 0.8 with a standard error of 0.035; 16 bands of 8 let
# 0.8 pass as a candidate with 95 %, 0.5 with 6 % (1 - (1 - s^8)^16).
_HASHES, _BANDS = 128, 16
_SEED = 42
# Scripts written without spaces (Chinese, Japanese, Thai …) count each character as a word.
_WORD = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]|[^\W\u0e00-\u0eff\u3040-\u9fff]+")


def find_exact_duplicates(hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return indices of documents whose hash stood before, ascending: int64 (duplicates)."""
    _, first = np.unique(hashes, return_index=True)
    again = np.ones(len(hashes), dtype=np.bool_)
    again[first] = False
    return np.flatnonzero(again).astype(np.int64)


def find_near_duplicates(texts: Iterable[str]) -> NDArray[np.int64]:
    """Return indices of texts that resemble an earlier kept one: int64 (duplicates), ascending.

    Two texts resemble each other if about `_SIMILARITY` of their runs of three words are
    common; case and punctuation do not count. Texts without a word are never
    duplicates. Memory: about 1 kB a text kept.
    """
    from rensa import RMinHash, RMinHashLSH  # type: ignore[import-untyped]

    index = RMinHashLSH(threshold=_SIMILARITY, num_perm=_HASHES, num_bands=_BANDS)
    signatures: dict[int, Any] = {}
    dropped: list[int] = []
    for number, text in enumerate(texts):
        runs = _shingles(text)
        if not runs:
            continue
        signature = RMinHash(num_perm=_HASHES, seed=_SEED)
        signature.update(runs)
        if any(signature.jaccard(signatures[i]) >= _SIMILARITY for i in index.query(signature)):
            dropped.append(number)
        else:
            index.insert(number, signature)
            signatures[number] = signature
    return np.array(dropped, dtype=np.int64)


def normalize_words(text: str) -> list[str]:
    """Return the words of `text` in small letters, without punctuation."""
    return _WORD.findall(text.lower())


def _shingles(text: str) -> list[str]:
    """Return the different runs of words; all words as one run if they are fewer than a run."""
    said = normalize_words(text)
    if 0 < len(said) < _SHINGLE_SIZE:
        return [" ".join(said)]
    shifted = (said[start:] for start in range(_SHINGLE_SIZE))
    return sorted({" ".join(run) for run in zip(*shifted, strict=False)})
