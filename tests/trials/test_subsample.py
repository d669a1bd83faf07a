"""A part of a text is so long, in order, and from all over it."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from descend.trials.subsample import MIN_CHUNK_TOKENS, subsample_tokens


@given(st.integers(2, 200_000), st.floats(0.001, 1.0))
def test_subsample_has_requested_length_without_duplicates(count: int, share: float) -> None:
    part = subsample_tokens(np.arange(count, dtype=np.uint32), share)
    assert len(part) == max(2, round(share * count))
    assert (np.diff(part.astype(np.int64)) > 0).all()


def test_subsample_represents_the_whole_text() -> None:
    text = np.arange(100_000, dtype=np.uint32)
    part = subsample_tokens(text, 0.3)
    # Each tenth of the text gives a tenth of the part, to within a piece.
    tenths = np.bincount(part // 10_000, minlength=10)
    assert abs(tenths - 3_000).max() <= 2 * MIN_CHUNK_TOKENS
    assert part[0] == 0
    assert part[-1] == 99_999
