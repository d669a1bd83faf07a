"""What a verdict says of each cause: its finding, or why it is not the cause."""

from __future__ import annotations

from typing import Any

from descend.diagnosis.cause import Cause
from descend.diagnosis.effect_text import describe_effect
from descend.diagnosis.effects import TreatmentEffect
from descend.diagnosis.ranking import (
    RankedCause,
    contrary_evidence,
    supporting_evidence,
)
from descend.diagnosis.result import Finding, PairedTrial
from descend.metrics.measurement import Measurements
from descend.units import humanize_name


def to_paired_trial(effect: TreatmentEffect, run_fraction: float) -> PairedTrial:
    """Return an effect as a diagnosis shows it."""
    return PairedTrial(
        metric="validation loss, nats per token"
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


def explain_other_cause(
    ranked_cause: RankedCause,
    measurements: Measurements,
    effect: TreatmentEffect | None,
    is_tested: bool,
    best: TreatmentEffect | None = None,
) -> str:
    """Return why a cause is not among the findings, as a sentence."""
    if ranked_cause.exclusion_reason is not None:
        return ranked_cause.exclusion_reason
    if effect is not None:
        change = effect.treatment.change
        effect_text = describe_effect(
            change.label, effect.mean_reduction, (effect.low, effect.high), change.is_ablation
        )
        if change.is_ablation:
            if effect.low <= 0:
                return effect_text
            return (
                f"{effect_text}; the opposite is expected to gain"
                f" {effect.full_length_reduction:.3f}"
            )
        also = _beside_the_best(effect, best) if effect.is_significant else ""
        if effect.is_inconclusive and effect.low > 0:
            also = f": by chance once in {1 / max(effect.p_holm, 1e-9):.0f} where so much is tried"
        if effect.low > 0 and effect.reduction_at_equal_time is not None:
            also += f"; {_at_equal_time(effect.reduction_at_equal_time)}"
        if effect.low > 0 and effect.full_length_reduction < effect.min_effect:
            also = f", too small an effect to matter (under {effect.min_effect:.3f})"
            if (
                effect.extrapolated_reduction is not None
                and effect.extrapolated_reduction < effect.mean_reduction
            ):
                also = (
                    f", of which {effect.extrapolated_reduction:.3f} would be left in a run of full"
                    " length" + also
                )
        return effect_text + also
    contrary = contrary_evidence(ranked_cause.cause, measurements)
    if contrary:
        e = contrary[0]
        number = f"{e.value:,.0f}" if abs(e.value) >= 100 else f"{e.value:.3g}"
        name = humanize_name(e.metric)
        return f"{name} {number}" if name.endswith(e.unit) else f"{name} {number} {e.unit}"
    if ranked_cause.cause.name == "diverged":
        return "training stayed finite"
    if is_tested:
        return "less likely than those that were tested"
    return "the measurements say little about it"


def _beside_the_best(gain: TreatmentEffect, best: TreatmentEffect | None) -> str:
    """How a proved effect compares with that of the cause that is named."""
    if best is None or gain.mean_reduction < best.mean_reduction:
        return ": it helps, but another change helps more"
    if gain.cost_adjusted_reduction < best.cost_adjusted_reduction:
        return f": it helps, and costs {gain.cost_factor:.1f} times the training time"
    return ": it helps; which of the two helps more cannot be determined"


def _at_equal_time(loss_reduction: float) -> str:
    """Against more steps in the time that the change takes more."""
    better = "better" if loss_reduction >= 0 else "worse"
    return f"{abs(loss_reduction):.3f} {better} than more steps in the same time"
