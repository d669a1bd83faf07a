"""Effects of treatments and results of trials made up for tests, so that the answer is known."""

from __future__ import annotations

from descend.diagnosis.cause import TreatmentChange
from descend.diagnosis.effects import TreatmentEffect
from descend.diagnosis.treatments import Treatment
from descend.trials.trial_spec import TrialResult

RATE = Treatment("learning_rate_too_low", TreatmentChange("three times", {"learning_rate": 0.003}))
LESS = Treatment("too_little_data", TreatmentChange("half the text", {}, is_ablation=True))


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


def make_result(
    loss: float, bits: float | None = None, diverged_step: int | None = None
) -> TrialResult:
    return TrialResult(
        key="", steps=1, tokens=1000, train_tokens=1000, vocab_size=1000, parameters=1, seconds=1.0,
        peak_bytes=None, curve=[], validation_loss=loss, accuracy=0.1,
        bits_per_byte=loss if bits is None else bits, diverged_step=diverged_step, chunk_losses=[],
    )  # fmt: skip
