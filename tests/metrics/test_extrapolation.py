"""The part of a curve at the peak learning rate, and where it tends to."""

from __future__ import annotations

import numpy as np

from descend.metrics.extrapolation import extrapolation_measurements, mask_at_peak_lr
from descend.metrics.power_law import extrapolate_curve


def test_mask_at_peak_lr_is_none_when_the_peak_is_short() -> None:
    positions = np.arange(1.0, 101.0)
    rates = [(t, min(t / 10, 1.0) * (1.0 if t <= 60 else 0.5)) for t in positions]
    here = mask_at_peak_lr(rates, positions)
    assert here is not None
    assert positions[here].tolist() == list(range(9, 61))
    assert mask_at_peak_lr([(t, 1.0 if t < 30 else 0.5) for t in positions], positions) is None
    assert mask_at_peak_lr([], positions) is None


def test_extrapolation_measurements_carry_position_and_interval() -> None:
    steps = np.arange(1.0, 401.0)
    noise = np.random.default_rng(0).normal(0, 0.01, len(steps))
    extrapolation = extrapolate_curve(steps, 2 + 3 * steps**-0.5 + noise)
    assert extrapolation is not None
    ahead, asymptote = extrapolation_measurements(extrapolation, "step")
    assert ahead.metric == "extrapolated_loss"
    assert ahead.unit == f"nats per token at step {extrapolation.step:,.6g}"
    assert ahead.ci95 is not None
    assert ahead.ci95[0] <= 2 + 3 * extrapolation.step**-0.5 <= ahead.ci95[1]
    assert (asymptote.metric, asymptote.value) == ("loss_asymptote", extrapolation.asymptote)
