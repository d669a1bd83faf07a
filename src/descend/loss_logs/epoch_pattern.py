"""The same rise and fall in each epoch, and the course of the loss without it.

Where each epoch reads the text in one order, or its numbers are means that begin anew, the loss
goes up and down with the place in the epoch. That is no fault of the training: the level at the
same place of each epoch tells how it goes.
"""

from __future__ import annotations

import statistics
from bisect import bisect_right
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from descend.loss_logs.curve_features import CurveFeatures, finite_training
from descend.loss_logs.judgment import Shape
from descend.loss_logs.log import LossLog

EPOCH_ERROR = 0.1
"""Epochs by which a distance may differ from whole ones: it is counted in lines of the log."""
MIN_EPOCHS, MIN_EPOCH_POINTS = 3, 4
"""Epochs after the first, which falls the most, and losses of each that show a pattern."""
MIN_EXPLAINED = 0.8
"""Fraction of the variance within epochs that the mean epoch explains where all have one pattern:
of three epochs of noise it explains a third. A first guess."""
MIN_PATTERN_RISE = 0.01
"""Fraction of the loss that the mean epoch rises by at least."""


def recurs_each_epoch(shape: Shape) -> bool:
    """Return whether the same rise and fall comes in each epoch."""
    curve = shape.curve
    if curve.recurs_every is None:
        return has_pattern(split_epochs(shape.log))
    starts = shape.log.epoch_starts
    if len(starts) > 1:
        length = (starts[-1] - starts[0]) / (len(starts) - 1)
    elif curve.unit == "epochs":
        length = 1.0
    else:
        return False
    # What comes in each epoch also comes in every second one, and noise may make that likelier.
    epochs = curve.recurs_every / length
    return round(epochs) >= 1 and abs(epochs - round(epochs)) <= EPOCH_ERROR


def split_epochs(log: LossLog) -> list[list[float]]:
    """Return the training losses of each epoch; none where the log does not tell the epochs."""
    if log.unit != "epochs" and not log.epoch_starts:
        return []
    epochs: dict[int, list[float]] = {}
    places, losses = finite_training(log.entries)
    for place, loss in zip(places.tolist(), losses.tolist(), strict=True):
        of_steps = log.unit != "epochs"
        epoch = bisect_right(log.epoch_starts, place) if of_steps else int(place)
        epochs.setdefault(epoch, []).append(loss)
    return list(epochs.values())


def has_pattern(epochs: Sequence[Sequence[float]]) -> bool:
    """Return whether the epochs after the first have one pattern that rises."""
    whole = [e for e in epochs[1:-1] if len(e) == len(epochs[1])] if len(epochs) > 1 else []
    whole += [e for e in epochs[-1:] if whole and len(e) == len(whole[0])]
    if len(whole) < MIN_EPOCHS or len(whole[0]) < MIN_EPOCH_POINTS:
        return False
    losses = np.array(whole)
    within = losses - losses.mean(axis=1, keepdims=True)
    pattern = within.mean(axis=0)
    variance, rest = float((within**2).sum()), float(((within - pattern) ** 2).sum())
    rise = float((pattern - np.minimum.accumulate(pattern)).max())
    is_like = rest <= (1 - MIN_EXPLAINED) * variance
    return is_like and rise > MIN_PATTERN_RISE * abs(float(losses.mean()))


def start_end_lowest(shape: Shape, curve: CurveFeatures) -> tuple[float, float, float]:
    """Return the level of the loss at the start, at the end, and where it is lowest, without the
    rise and fall of each epoch."""
    means = means_over_epochs(shape)
    if means is None:
        return curve.start, curve.end, curve.lowest
    return float(means[0]), float(means[-1]), float(means.min())


def highest_rise(shape: Shape, curve: CurveFeatures) -> float:
    """Return the largest rise of the loss above its lowest so far, without the rise and fall of
    each epoch."""
    means = means_over_epochs(shape)
    if means is None:
        return curve.highest_rise
    return float((means - np.minimum.accumulate(means)).max())


def means_over_epochs(shape: Shape) -> NDArray[np.float64] | None:
    """Return the running mean of the training loss over an epoch, in which a pattern that recurs
    each epoch is not; None where none does."""
    curve = shape.curve
    if not recurs_each_epoch(shape):
        return None
    _, losses = finite_training(shape.log.entries)
    if curve.recurs_every is None:
        width = round(statistics.median(len(e) for e in split_epochs(shape.log)))
    else:
        width = round(curve.recurs_every / curve.interval) if curve.interval > 0 else 0
    if not 0 < width <= len(losses):
        return None
    return np.convolve(losses, np.full(width, 1 / width), mode="valid")
