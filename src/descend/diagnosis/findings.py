"""The findings of a verdict: a cause, its evidence, and its trial."""

from __future__ import annotations

from typing import Any

from descend.diagnosis.cause import Cause
from descend.diagnosis.diagnosis_result import LOSS_METRIC, Finding, PairedTrial
from descend.diagnosis.effects import TreatmentEffect
from descend.diagnosis.ranking import supporting_evidence
from descend.metrics.measurement import Measurements


def to_paired_trial(effect: TreatmentEffect, run_fraction: float) -> PairedTrial:
    """Return an effect as a diagnosis shows it."""
    return PairedTrial(
        metric=LOSS_METRIC
        + (" (by bits per byte)" if "vocab_size" in effect.treatment.change.keys else ""),
        change=effect.treatment.change.label,
        control_loss=effect.control_loss,
        treatment_loss=effect.treatment_loss,
        loss_reduction=effect.mean_reduction,
        ci95=(effect.low, effect.high),
        p_holm=effect.p_holm,
        seeds=effect.seeds,
        tokens=effect.tokens,
        run_fraction=run_fraction,
        seconds=effect.seconds,
        cost_factor=effect.cost_factor,
        loss_reduction_at_equal_time=effect.reduction_at_equal_time,
        extrapolated_loss_reduction=effect.extrapolated_reduction,
        full_length_loss_reduction=effect.measured_full_length_reduction,
        is_significant=effect.is_significant,
        is_inconclusive=effect.is_inconclusive,
    )


def make_finding(
    cause: Cause,
    measurements: Measurements,
    probability: float,
    recommended_config: dict[str, Any],
    trial: PairedTrial | None,
) -> Finding:
    """Return the finding of a cause: its evidence, its advice, and its trial."""
    return Finding(
        cause=cause.name,
        probability=round(probability, 3),
        evidence=supporting_evidence(cause, measurements),
        recommended_config=recommended_config,
        advice=cause.advice,
        trial=trial,
    )
