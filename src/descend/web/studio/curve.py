"""Curves small enough to draw: the lowest and the highest point of each segment stay."""

from __future__ import annotations

from collections.abc import Sequence

Point = tuple[int, float, float, float]
"""Step, loss, smoothed loss (nats per token), accuracy."""

SMOOTHED_FRACTION, MAX_SMOOTHED_STEPS = 0.1, 100
"""The smoothed loss averages over a tenth of the steps so far, at most about 100: early in a run
the loss falls too steeply for a longer average to follow."""

MAX_POINTS = 1500
"""Points of a curve: about one for each pixel of a wide window."""


def thin(points: Sequence[Point], max_points: int = MAX_POINTS) -> Sequence[Point]:
    """Return at most `max_points` of `points`: per bucket the lowest and the highest loss.

    The first and the last stay too, so that a curve begins and ends where the run does. Spikes stay
    by design: they are what a reader looks for.
    """
    if len(points) <= max_points:
        return points
    buckets = max(1, max_points // 2 - 1)
    chosen = {0, len(points) - 1}
    for bucket in range(buckets):
        start, end = bucket * len(points) // buckets, (bucket + 1) * len(points) // buckets
        losses = [point[1] for point in points[start:end]]
        chosen.add(start + losses.index(min(losses)))
        chosen.add(start + losses.index(max(losses)))
    return [points[index] for index in sorted(chosen)]


def smooth(previous: float | None, loss: float, num_steps: int) -> float:
    """Return the next value of the smoothed loss, after `num_steps` before it."""
    if previous is None:
        return loss
    weight = 1 / min(MAX_SMOOTHED_STEPS, 1 + SMOOTHED_FRACTION * num_steps)
    return previous + weight * (loss - previous)
