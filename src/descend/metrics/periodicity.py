"""Whether a curve repeats itself: the autocorrelation of what it lies off its running mean.

Cost class: free; needs no torch. Source: Box and Jenkins, "Time Series Analysis" (1976), chapter 2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MIN_POINTS = 60
"""Losses under which chance alone makes patterns."""
MAX_POINTS = 4_000
"""Losses that are looked at; more are averaged in groups."""
EARLY = 0.2
"""Share at the start that is left out: the first fall is no pattern."""
WINDOW = 4
"""Parts of the curve that the running mean spans one of."""
MIN_PERIODS = 3
LIKE, AGAIN, UNLIKE = 0.5, 0.3, 0.1
"""Correlation at the distance, at twice the distance, and in between at most. White noise of 60
losses exceeds 0.5 at some distance in fewer than one curve of a thousand."""
MIN_RELATIVE_AMPLITUDE = 0.005
"""Standard deviation of the pattern over the loss from which it matters."""
SMOOTHED_FRACTION = 8
"""Parts of a pattern that are averaged one by one when its rise is measured."""


def period(places: Floats, losses: Floats) -> float | None:
    """Distance in places at which the curve repeats itself; None if it does not."""
    if len(losses) < MIN_POINTS:
        return None
    group = -(-len(losses) // MAX_POINTS)
    if group > 1:
        whole = len(losses) // group * group
        losses = losses[:whole].reshape(-1, group).mean(axis=1)
        places = places[:whole].reshape(-1, group)[:, 0]
    begin = round(EARLY * len(losses))
    width = max(3, len(losses) // WINDOW)
    rest = (losses - running_mean(losses, width))[begin:]
    rest = rest - rest.mean()
    spread = float(np.std(rest))
    if spread <= MIN_RELATIVE_AMPLITUDE * abs(float(losses[begin:].mean())):
        return None
    size = len(rest)
    power = np.abs(np.fft.rfft(rest, 2 * size)) ** 2
    like = np.fft.irfft(power)[:size]
    like = like / like[0] * size / np.arange(size, 0, -1)
    lags = np.arange(3, size // MIN_PERIODS)
    if not len(lags):
        return None
    for lag in lags[np.argsort(-like[lags])][:5]:
        dipped = float(like[1:lag].min()) <= UNLIKE
        recurs = like[lag] >= LIKE and dipped and like[min(2 * lag, size - 1)] >= AGAIN
        if recurs and _rises_each_time(losses[begin:], int(lag)):
            return float(lag * np.median(np.diff(places)))
    return None


def _rises_each_time(losses: Floats, lag: int) -> bool:
    """Return whether the curve itself rises in most segments of `lag` losses: what a smooth fall
    lies off its running mean goes up and down, too."""
    smooth = running_mean(losses, max(1, lag // SMOOTHED_FRACTION))
    segments = smooth[: len(smooth) // lag * lag].reshape(-1, lag)
    rises = (segments - np.minimum.accumulate(segments, axis=1)).max(axis=1)
    return float(np.median(rises)) > MIN_RELATIVE_AMPLITUDE * abs(float(losses.mean()))


def running_mean(values: Floats, width: int) -> Floats:
    """Centred mean over `width` values, over fewer at the ends; same length."""
    total = np.concatenate(([0.0], np.cumsum(values)))
    at = np.arange(len(values))
    low = np.maximum(at - (width - 1) // 2, 0)
    high = np.minimum(at + width // 2 + 1, len(values))
    mean: Floats = (total[high] - total[low]) / (high - low)
    return mean
