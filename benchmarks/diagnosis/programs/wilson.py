"""An interval for a share (Wilson 1927), which holds at 0 and 1 too."""

from __future__ import annotations

import math

Z95 = 1.959964


def interval(hits: int, of: int) -> list[float]:
    """95 % interval of hits / of."""
    if not of:
        return [0.0, 1.0]
    share, z2 = hits / of, Z95**2
    middle = (share + z2 / (2 * of)) / (1 + z2 / of)
    half = Z95 * math.sqrt(share * (1 - share) / of + z2 / (4 * of * of)) / (1 + z2 / of)
    return [round(max(0.0, middle - half), 4), round(min(1.0, middle + half), 4)]
