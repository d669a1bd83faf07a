"""The findings of a verdict."""

from __future__ import annotations

from descend.diagnosis.cause import TreatmentChange
from descend.diagnosis.causes import CAUSES
from descend.diagnosis.effects import TreatmentEffect
from descend.diagnosis.findings import make_finding, to_paired_trial
from descend.diagnosis.treatments import Treatment
from descend.metrics.measurement import Measurement

RATE = next(c for c in CAUSES if c.name == "learning_rate_too_low")
EFFECT = TreatmentEffect(
    treatment=Treatment(RATE.name, TreatmentChange("three times", {"learning_rate": 0.003})),
    control_loss=4.0, treatment_loss=3.8, mean_reduction=0.2, low=0.18, high=0.22, std_error=0.01,
    p_holm=0.001, seeds=3, tokens=1000, seconds=1.0, cost_factor=1.0,
)  # fmt: skip


def test_to_paired_trial_carries_both_losses() -> None:
    trial = to_paired_trial(EFFECT, 0.5)
    assert (trial.control_loss, trial.treatment_loss, trial.loss_reduction) == (4.0, 3.8, 0.2)
    assert (trial.ci95, trial.run_fraction) == ((0.18, 0.22), 0.5)
    assert trial.is_significant


def test_make_finding_tells_evidence_in_its_range_only() -> None:
    low = {"update_to_weight_ratio": Measurement("update_to_weight_ratio", 0.0001, "a step")}
    usual = {"update_to_weight_ratio": Measurement("update_to_weight_ratio", 0.01, "a step")}
    finding = make_finding(RATE, low, 0.98765, {"learning_rate": 0.003}, None)
    assert [e.metric for e in finding.evidence] == ["update_to_weight_ratio"]
    assert (finding.probability, finding.advice) == (0.988, RATE.advice)
    assert make_finding(RATE, usual, 0.5, {}, None).evidence == []
