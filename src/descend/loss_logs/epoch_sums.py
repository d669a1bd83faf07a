"""Losses that a program adds up and sets back to 0 at the start of each epoch.

Such numbers rise from near 0 through the epoch, nearly in proportion to the place. What was added
from line to line is the loss itself, but for a factor that the program may divide by.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from descend.loss_logs.log import EpochSums
from descend.loss_logs.points import Point

MIN_EPOCH_POINTS = 3
"""Losses of an epoch from which a sum shows."""
MAX_FIRST = 3.0
"""Times the mean difference that the first number of an epoch may be: a sum begins with the first
difference, and the loss falls fastest at the start. A first guess."""
MIN_FIRST = 0.25
"""The same for the number below which it holds fewer steps than the others, as a line of step 0."""
MAX_BEND = 2.5
"""Times the number in the middle of an epoch that the last one may be: 2 for a sum of equal losses,
and 4 where numbers double."""


def difference_sums(
    points: list[Point], places: list[float]
) -> tuple[EpochSums, list[Point], list[float]] | None:
    """Return the sums, the points with differences instead, and their places; None if the losses
    are no sums that begin anew."""
    values = [p.value for p in points]
    if not all(map(math.isfinite, values)):
        return None
    starts = [0, *(i for i in range(1, len(values)) if values[i] < values[i - 1])]
    epochs = [values[a:b] for a, b in zip(starts, [*starts[1:], len(values)], strict=True)]
    if not are_sums(epochs):
        return None
    last = epochs[-1] if len(epochs[-1]) >= MIN_EPOCH_POINTS else epochs[-2]
    same = min(len(epochs[0]), len(last)) - 1
    sums = EpochSums(epochs=len(epochs), first=epochs[0][same], last=last[same])
    dropped = set()
    for index in reversed(range(len(points))):
        if index not in starts:
            points[index].value -= points[index - 1].value
    for begin, epoch in zip(starts, epochs, strict=True):
        if len(epoch) > 1 and epoch[0] < MIN_FIRST * _mean_difference(epoch):
            dropped.add(begin)
    _scale_to_interval(points, places, set(starts))
    stays = [i for i in range(len(points)) if i not in dropped]
    return sums, [points[i] for i in stays], [places[i] for i in stays]


def are_sums(epochs: Sequence[Sequence[float]]) -> bool:
    """Return whether each epoch rises from near 0 as a sum does, and all are of one length."""
    length = len(epochs[0])
    whole, last = epochs[:-1], epochs[-1]
    if len(whole) + (len(last) >= MIN_EPOCH_POINTS) < 2 or len(last) > length + 1:
        return False
    if length < MIN_EPOCH_POINTS or any(abs(len(e) - length) > 1 for e in whole):
        return False
    return all(_rises_from_zero(e) for e in epochs if len(e) >= MIN_EPOCH_POINTS)


def _rises_from_zero(epoch: Sequence[float]) -> bool:
    middle = epoch[len(epoch) // 2]
    return 0 <= epoch[0] <= MAX_FIRST * _mean_difference(epoch) and epoch[-1] <= MAX_BEND * middle


def _mean_difference(epoch: Sequence[float]) -> float:
    return (epoch[-1] - epoch[0]) / (len(epoch) - 1)


def _scale_to_interval(points: list[Point], places: list[float], starts: set[int]) -> None:
    """Bring differences over a shorter or longer distance to the usual one, in place."""
    spans = {i: places[i] - places[i - 1] for i in range(1, len(places)) if i not in starts}
    usual = statistics.median(spans.values())
    for index, span in spans.items():
        if span > 0 and usual > 0:
            points[index].value *= usual / span
