"""What paired differences are worth: intervals, p-values, correction for many of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np

CONFIDENCE_LEVEL = 0.95

ALPHA = 0.05
"""p-value, corrected for all tests made at once (`holm`), below which an experiment says that
there is an effect: what `LEVEL` leaves."""

MIN_RELATIVE_EFFECT = 0.005
"""A gain below this fraction of the loss is not worth a word, however certain it is."""

MIN_EFFECT_NATS = 0.01
"""The same in nats a token: about the difference between two seeds of a small run."""


class Interval(msgspec.Struct, frozen=True):
    """A mean and where it lies with 95 % confidence, unless another level is given.

    `low` and `high` are infinite where one measurement alone says nothing of its spread.
    """

    value: float
    low: float
    high: float


def paired_interval(
    differences: Sequence[float],
    *,
    pooled_sd: float | None = None,
    pooled_df: int = 0,
    level: float = CONFIDENCE_LEVEL,
) -> Interval:
    """Return the interval of the mean difference over pairs, by Student's t.

    With `pooled_sd`, the spread of single differences known from elsewhere on `pooled_df` degrees
    of freedom, both spreads are weighed by their degrees of freedom: the moderated t of Smyth 2004
    (Statistical Applications in Genetics 3:1, article 3), with the prior given instead of fitted.
    """
    from scipy.stats import t

    mean, error, df = moderated_t(differences, pooled_sd, pooled_df)
    if df == 0:
        return Interval(mean, -math.inf, math.inf)
    half = float(t.ppf(0.5 + level / 2, df)) * error
    return Interval(mean, mean - half, mean + half)


def paired_p_value(differences: Sequence[float]) -> float:
    """Two-sided p-value of a mean difference of zero, by the test of `paired_interval`."""
    from scipy.stats import t

    mean, error, df = moderated_t(differences)
    if df == 0:
        return 1.0
    if error == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * t.sf(abs(mean) / error, df))


def one_sided_p_value(mean: float, error: float, df: int) -> float:
    """p-value of a mean difference of `mean`, with its standard error, against none above zero.

    One-sided: only a treatment that gains is ever claimed, and those that hurt, which most do in a
    trial series of ten, must not make it harder to believe the one that helps.
    """
    from scipy.stats import t

    if df == 0 or not math.isfinite(error):
        return 1.0
    return float(t.sf(mean / error, df)) if error else float(mean <= 0)


def holm_adjust(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for their number, in the order given (Holm 1979, Scand. J. Stat. 6:65).

    The chance that any true null is rejected stays below the level, whatever their dependence.
    """
    count = len(p_values)
    corrected = [0.0] * count
    max_adjusted = 0.0
    for rank, index in enumerate(sorted(range(count), key=lambda i: p_values[i])):
        max_adjusted = max(max_adjusted, min(1.0, (count - rank) * p_values[index]))
        corrected[index] = max_adjusted
    return corrected


def is_significant(loss_reduction: Interval, of: float) -> bool:
    """Return whether a gain (nats, positive is better) over a loss `of` may be called one."""
    return loss_reduction.low > 0 and loss_reduction.value >= max(
        MIN_RELATIVE_EFFECT * of, MIN_EFFECT_NATS
    )


def sample_std(differences: Sequence[float]) -> float:
    """Return the standard deviation of single differences; 0 for one alone."""
    return float(np.std(differences, ddof=1)) if len(differences) > 1 else 0.0


def moderated_t(
    differences: Sequence[float], pooled_sd: float | None = None, pooled_df: int = 0
) -> tuple[float, float, int]:
    """Return the mean, its standard error and degrees of freedom, by both spreads as
    `paired_interval` is."""
    own_df = len(differences) - 1
    prior_df = pooled_df if pooled_sd is not None else 0
    df = own_df + prior_df
    mean = float(np.mean(differences))
    if df == 0:
        return mean, math.inf, 0
    variance = (own_df * sample_std(differences) ** 2 + prior_df * (pooled_sd or 0.0) ** 2) / df
    return mean, math.sqrt(variance / len(differences)), df
