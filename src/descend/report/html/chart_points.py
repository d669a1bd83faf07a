"""The points of a curve as they are drawn: fewer, without losing a spike, or smoothed."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

PIXELS = 700
"""Points across that a curve is thinned to, in pairs of extremes: about the width of a figure."""


def downsample(x: Sequence[float], y: Sequence[float]) -> tuple[list[float], list[float]]:
    """At most two points a pixel, the lowest and the highest in their order: no spike is lost."""
    if len(x) <= 2 * PIXELS:
        return list(x), list(y)
    values = np.asarray(y, dtype=np.float64)
    edges = np.linspace(0, len(values), PIXELS + 1).astype(int)
    indices: list[int] = []
    for first, last in itertools.pairwise(edges.tolist()):
        low, high = first + values[first:last].argmin(), first + values[first:last].argmax()
        indices.extend(sorted({int(low), int(high)}))
    indices = sorted({0, *indices, len(values) - 1})
    return [x[i] for i in indices], [y[i] for i in indices]


def smooth(y: Sequence[float], parts: int = 60) -> list[float]:
    """Return the mean over about 1/`parts` of the points around each; near the ends over fewer, so
    that a steep beginning is not dragged along."""
    reach = max(1, len(y) // parts) // 2
    total = np.concatenate([[0.0], np.cumsum(np.asarray(y, dtype=np.float64))])
    position = np.arange(len(y))
    near = np.minimum(reach, np.minimum(position, len(y) - 1 - position))
    smoothed: list[float] = (
        (total[position + near + 1] - total[position - near]) / (2 * near + 1)
    ).tolist()
    return smoothed
