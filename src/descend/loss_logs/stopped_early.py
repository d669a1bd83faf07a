"""A normal curve that still falls at its end, by as much as matters."""

from __future__ import annotations

from descend.loss_logs.curve_features import SAME_LEVEL, CurveFeatures
from descend.loss_logs.judgment import EvidenceFacts, LogVerdict, Shape
from descend.loss_logs.normality import ADAM_HIGHEST
from descend.loss_logs.rate_rules import MIN_NOTED_FRACTION, spent_rate
from descend.loss_logs.validation_change import limit_gain, validation_slope

MIN_DOUBLING_FALL_FRACTION = 0.03
"""Fraction of the loss that a doubling of the run gains, from which it was stopped too early."""
MIN_GAIN_FRACTION = SAME_LEVEL
"""Fraction of the loss that the validation loss leaves of that gain at least: a curve that changes
by less counts as flat."""


def stopped_early(shape: Shape) -> LogVerdict | None:
    """Return a run that would come lower if it went on; none whose rate has ended the fall."""
    curve = shape.curve
    slope, error, gain = curve.slope_per_doubling, curve.slope_std_error, curve.gain_of_doubling
    if curve.rate_decayed:
        if curve.steady_slope is None or curve.steady_gain is None or _stands_still(shape):
            return None
        slope, error, gain = curve.steady_slope, 0.0, curve.steady_gain
    elif slope < 2 * error:
        slope, error, gain = validation_slope(shape) or (slope, error, gain)
    if min(slope, gain) < MIN_DOUBLING_FALL_FRACTION * curve.end or slope < 2 * error:
        return None
    gain = limit_gain(shape, min(slope, gain))
    if gain < MIN_GAIN_FRACTION * curve.end:
        return None
    unseen = "" if curve.validation_best is not None else (
        "; without a validation loss, overfitting cannot be detected"
    )  # fmt: skip
    rate = curve.rate_highest
    faster = "smaller batches may do the same in the same time"
    if rate is None or rate < ADAM_HIGHEST:
        faster = f"a higher learning rate or {faster}"
    return LogVerdict(
        f"it falls as it should, and was stopped while still falling{unseen}", "yes",
        0.5 if rate else 0.4, "undertrained", [slope_evidence(slope, curve)], {},
        f"train about twice as long: up to {gain:.2f} nats lower, if nothing else is "
        f"wrong; {faster}",
    )  # fmt: skip


def has_leveled_off(shape: Shape) -> bool:
    """Return whether no fall is left that would matter, by training or validation, whichever tells
    more."""
    curve = shape.curve
    slope, error = curve.slope_per_doubling, curve.slope_std_error
    validated = validation_slope(shape)
    if validated is not None and validated[1] < error:
        slope, error, _ = validated
    return curve.rate_decayed or slope + 2 * error < 1.5 * MIN_DOUBLING_FALL_FRACTION * curve.end


def slope_evidence(slope: float, curve: CurveFeatures) -> EvidenceFacts:
    """Return the fall per doubling, beside the one that is usual at the end of a run."""
    usual = (None, MIN_DOUBLING_FALL_FRACTION * curve.end)
    text = "fall per doubling of the run, in its second half"
    return ("slope_per_doubling", slope, "nats", usual, text)


def _stands_still(shape: Shape) -> bool:
    """Return whether the loss no longer falls, since the rate has come down to next to nothing."""
    spent = spent_rate(shape)
    return spent is not None and spent.is_flat and spent.fraction >= MIN_NOTED_FRACTION
