"""What the diagnosis of a run says of one cause, where the run has been diagnosed."""

from __future__ import annotations

from pathlib import Path

from descend.diagnosis.diagnosis_result import Diagnosis, PairedTrial
from descend.diagnosis.metric_text import format_metric
from descend.diagnosis.recommended_config import load_diagnosis
from descend.diagnosis.sentences import describe_effect
from descend.runs.run_files import has_diagnosis
from descend.units import quoted


def load_saved_diagnosis(run: Path) -> Diagnosis | None:
    """Return the diagnosis in a run folder, or None; `RunFolderError` if it is damaged."""
    return load_diagnosis(run) if has_diagnosis(run) else None


def describe_cause(cause: str, run: Path) -> str:
    """Return whether `cause` holds in the run in folder `run`, by what number, or how to find
    out."""
    diagnosis = load_saved_diagnosis(run)
    if diagnosis is None:
        return (
            "This run has not been diagnosed. "
            f"`descend diagnose {quoted(run)}` tests this cause and the others."
        )
    return _holds(cause, diagnosis) or _ruled_out(cause, diagnosis) or (
        f"The diagnosis of this run ({diagnosis.verdict.replace('_', ' ')}) says nothing of it."
    )  # fmt: skip


def _holds(cause: str, diagnosis: Diagnosis) -> str | None:
    for finding in diagnosis.causes:
        if finding.cause == cause:
            keys = ", ".join(f"`{k} = {v}`" for k, v in finding.recommended_config.items())
            evidence = "; ".join(format_metric(e.metric, e.value, e.unit) for e in finding.evidence)
            return (
                f"The diagnosis of this run found it ({finding.probability:.0%} sure)."
                + (f" Evidence: {evidence}." if evidence else "")
                + _tried(finding.trial)
                + f" Fix: {finding.advice.rstrip('.')}."
                + (f" Try {keys}." if keys else "")
            )
    return None


def _ruled_out(cause: str, diagnosis: Diagnosis) -> str | None:
    for other in diagnosis.ruled_out:
        if other.cause == cause:
            said = (
                "found that mending it gains too, but less" if other.also_improves
                else "leaves it inconclusive" if other.is_inconclusive
                else "did not try it" if other.is_untested
                else "ruled it out"
            )  # fmt: skip
            reason = other.reason.rstrip(".")
            tried = "" if other.is_untested else _tried(other.trial)
            return f"The diagnosis of this run {said}: {reason}." + tried
    return None


def _tried(trial: PairedTrial | None) -> str:
    return " It was not tried." if trial is None else f" Tried: {describe_trial(trial)}."


def describe_trial(trial: PairedTrial) -> str:
    """Return `twice the width ends 0.020 nats better (95 % CI -0.010 to 0.050)`."""
    return describe_effect(trial.change, trial.loss_reduction, trial.ci95, is_ablation(trial))


def is_ablation(trial: PairedTrial) -> bool:
    """Return whether the trial made the run worse on purpose, such as by half the text: what that
    costs is what more of it would gain."""
    return trial.loss_reduction * (trial.treatment_loss - trial.control_loss) > 0


def reduction_by_change(trial: PairedTrial) -> tuple[float, tuple[float, float] | None]:
    """Return by how much the change itself lowered the loss, with its 95 % interval (nats): below
    zero where the trial made the run worse on purpose."""
    if not is_ablation(trial):
        return trial.loss_reduction, trial.ci95
    return -trial.loss_reduction, trial.ci95 and (-trial.ci95[1], -trial.ci95[0])
