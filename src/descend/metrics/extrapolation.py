"""The part of a loss curve at the peak learning rate, and where it tends to.

The decay of the learning rate is no part of a power law, so a curve is only continued from there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from descend.metrics.measurement import Measurement
from descend.metrics.power_law import CurveExtrapolation

Floats = NDArray[np.float64]

AT_PEAK = 0.9
"""Fraction of the peak rate from which a step counts as at the peak."""
STEADY_FRACTION = 0.3
"""Fraction of the run that must be at the peak rate for a slope to be read there."""


def mask_at_peak_lr(
    rates: Sequence[tuple[float, float]], positions: Floats
) -> NDArray[np.bool_] | None:
    """Return which of `positions` (growing) lie where the learning rate was at its peak.

    `rates` are pairs of position and learning rate. None where no rate is known, or where that part
    is too short to say anything of the run.
    """
    peak = max((rate for _, rate in rates), default=0.0)
    there = [at for at, rate in rates if rate >= AT_PEAK * peak]
    if not there or there[-1] - there[0] < STEADY_FRACTION * float(positions[-1]):
        return None
    here: NDArray[np.bool_] = (positions >= there[0]) & (positions <= there[-1])
    return here if here.any() else None


def extrapolation_measurements(
    extrapolation: CurveExtrapolation, unit: str
) -> tuple[Measurement, Measurement]:
    """Return where a curve tends to: after twice its length, and in the limit.

    `unit` says what positions count.
    """
    return (
        Measurement(
            "extrapolated_loss",
            extrapolation.loss,
            f"nats per token at {unit} {extrapolation.step:,.6g}",
            ci95=extrapolation.ci95,
        ),
        Measurement(
            "loss_asymptote",
            extrapolation.asymptote,
            "nats per token",
            ci95=extrapolation.floor_ci95,
        ),
    )
