"""Effects of treatments made up for tests, so that the answer is known."""

from __future__ import annotations

from descend.diagnosis.cause import TreatmentChange
from descend.diagnosis.effects import TreatmentEffect
from descend.diagnosis.treatments import Treatment


def gain(cause: str, mean: float, error: float = 0.01, *, buys: bool = False) -> TreatmentEffect:
    return TreatmentEffect(
        treatment=Treatment(cause, TreatmentChange(cause, {"batch_size": 3}), buys),
        control_loss=4.0,
        treatment_loss=4.0 - mean,
        mean_reduction=mean,
        low=mean - 2 * error,
        high=mean + 2 * error,
        std_error=error,
        p_holm=0.001,
        seeds=3,
        tokens=1000,
        seconds=1.0,
        cost_factor=1.0,
    )
