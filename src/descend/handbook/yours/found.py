"""What the diagnosis of a run says of one cause, where the run has been diagnosed."""

from __future__ import annotations

from pathlib import Path

from descend.doctor.diagnosis import Diagnosis, Trial
from descend.doctor.gained import gained
from descend.doctor.prescription import read_diagnosis
from descend.handbook.yours.wording import reading_words
from descend.runs.folder import DIAGNOSIS
from descend.units import quoted


def kept_diagnosis(run: Path) -> Diagnosis | None:
    """The diagnosis in a run folder, or None; `RunFolderError` if it is damaged."""
    return read_diagnosis(run) if (run / DIAGNOSIS).exists() else None


def found(cause: str, run: Path) -> str:
    """Whether `cause` holds in the run in folder `run`, by what number, or how to find out."""
    diagnosis = kept_diagnosis(run)
    if diagnosis is None:
        return (
            "This run has not been diagnosed. "
            f"`descend diagnose {quoted(run)}` tries this cause and the others on it."
        )
    return _holds(cause, diagnosis) or _ruled_out(cause, diagnosis) or (
        f"The diagnosis of this run ({diagnosis.verdict.replace('_', ' ')}) says nothing of it."
    )  # fmt: skip


def _holds(cause: str, diagnosis: Diagnosis) -> str | None:
    for finding in diagnosis.causes:
        if finding.cause == cause:
            keys = ", ".join(f"`{k} = {v}`" for k, v in finding.prescription.items())
            told = "; ".join(reading_words(e.signal, e.value, e.unit) for e in finding.evidence)
            return (
                f"The diagnosis of this run found it, with confidence {finding.probability:.2f}."
                + (f" Evidence: {told}." if told else "")
                + _tried(finding.trial)
                + f" Remedy: {finding.remedy.rstrip('.')}."
                + (f" Try {keys}." if keys else "")
            )
    return None


def _ruled_out(cause: str, diagnosis: Diagnosis) -> str | None:
    for other in diagnosis.ruled_out:
        if other.cause == cause:
            said = (
                "found that mending it gains too, but less" if other.gains_too
                else "leaves it undecided" if other.open
                else "did not try it" if other.untried
                else "ruled it out"
            )  # fmt: skip
            because = other.because.rstrip(".")
            tried = "" if other.untried else _tried(other.trial)
            return f"The diagnosis of this run {said}: {because}." + tried
    return None


def _tried(trial: Trial | None) -> str:
    return " It was not tried." if trial is None else f" Tried: {trial_words(trial)}."


def trial_words(trial: Trial) -> str:
    """`twice the width ends 0.020 nats better (95 %: -0.010 to 0.050)`."""
    return gained(trial.change, trial.gain, trial.ci95, takes_away(trial))


def takes_away(trial: Trial) -> bool:
    """Whether the trial made the run worse on purpose, such as by half the text: what that costs
    is what more of it would gain."""
    return trial.gain > 0 and trial.treated > trial.control
