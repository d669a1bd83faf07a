"""The golden rules for a run: each answered by what was tried on it, or not answered.

The guide's checklist for a model that does not learn asks five questions. A number alone answers
none of them: a model is too small if a larger one does better, on this text, for its time. So the
answers come from the trials of a diagnosis; without one the recorded numbers are given and the
answer is left open.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from descend.diagnosis.causes import CAUSES
from descend.diagnosis.diagnosis_result import (
    Diagnosis,
    Finding,
    OtherCause,
    PairedTrial,
    diagnosis_seconds,
    has_trials,
    larger_trial_budget,
)
from descend.diagnosis.metric_text import format_metric
from descend.handbook.run_notes.diagnosis_notes import describe_trial, load_saved_diagnosis
from descend.handbook.run_notes.wording import format_percent
from descend.runs.epochs_read import format_epochs_read
from descend.runs.recorded_run import RecordedRun, open_recorded_run
from descend.runs.suggestions import has_diverged, suggest_fix
from descend.units import (
    format_duration,
    format_plain,
    format_significant,
    humanize_name,
    quoted,
)

Answer = Literal["yes", "no", "open"]


class ChecklistAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A question of the checklist and what is known of it."""

    rule: str
    question: str
    answer: Answer
    is_tested: bool
    """Whether a counterfactual run answered it; else a signal did, or nothing."""
    reason: str
    page: str
    """The page that tells more."""


class Checklist(msgspec.Struct, frozen=True):
    """`checklist --json`."""

    run: str
    diagnosed: bool
    answers: list[ChecklistAnswer]
    sentence: str


@dataclass(frozen=True)
class ChecklistItem:
    """A question, the causes that would answer it with no, and what a run records about it."""

    name: str
    question: str
    causes: tuple[str, ...]
    recorded: Callable[[RecordedRun], str]


def answer_checklist(folder: Path) -> Checklist:
    """Return the five questions about the run in `folder`; `RunFolderError` if it is none."""
    run = open_recorded_run(folder)
    if not run.epochs:
        return _before_the_first_epoch(folder)
    diagnosis = load_saved_diagnosis(folder)
    answers = [_answered(rule, run, diagnosis) for rule in RULES]
    return Checklist(
        str(folder),
        diagnosis is not None,
        answers,
        _sentence(run, answers, diagnosis),
    )


def _before_the_first_epoch(folder: Path) -> Checklist:
    """Return all questions open, since the run was never judged on validation text."""
    reason = "No epoch has ended yet, so there is no validation loss."
    answers = [
        ChecklistAnswer(
            rule=r.name,
            question=r.question,
            answer="open",
            is_tested=False,
            reason=reason,
            page=r.causes[0],
        )
        for r in RULES
    ]
    sentence = f"All five are open. To go on: {suggest_fix(folder)}."
    return Checklist(str(folder), load_saved_diagnosis(folder) is not None, answers, sentence)


def _answered(
    rule: ChecklistItem, run: RecordedRun, diagnosis: Diagnosis | None
) -> ChecklistAnswer:
    answer, proved, reason = _from_diagnosis(rule, diagnosis) or ("open", False, "")
    if answer == "open":
        reason = f"{reason}{' ' if reason else ''}{rule.recorded(run)}"
    return ChecklistAnswer(
        rule=rule.name, question=rule.question, answer=answer, is_tested=proved, reason=reason,
        page=rule.causes[0],
    )  # fmt: skip


def _from_diagnosis(
    rule: ChecklistItem, diagnosis: Diagnosis | None
) -> tuple[Answer, bool, str] | None:
    """Return no if one of the causes holds, yes if all were ruled out, None if neither was said."""
    if diagnosis is None:
        return None
    for finding in diagnosis.causes:
        if finding.cause in rule.causes:
            return "no", finding.trial is not None, _holds(finding)
    if diagnosis.verdict == "diverged":
        return "open", False, "The run diverged before it could show."
    out = [r for r in diagnosis.ruled_out if r.cause in rule.causes]
    if any(r.trial is not None and r.trial.is_significant is None for r in out):
        return "open", False, "The diagnosis is older than this version of descend."
    gaining = [r for r in out if r.trial is not None and _is_beneficial(r.trial)]
    if gaining:  # real, though another treatment gains more
        return "no", True, _reasons(gaining)
    if len(out) < len(rule.causes):
        return None
    if not has_trials(diagnosis):
        return "open", False, "The diagnosis made no trials."
    if inconclusive_causes := [r for r in out if r.is_inconclusive]:
        return "open", True, _reasons(inconclusive_causes)
    if untested_causes := [r for r in out if r.is_untested]:
        return "open", False, _reasons(untested_causes)
    return "yes", all(r.trial is not None for r in out), _reasons(out)


def _is_beneficial(trial: PairedTrial) -> bool:
    # A larger model that takes longer must also beat more steps in that time.
    return bool(trial.is_significant) and (trial.loss_reduction_at_equal_time or 0.0) >= 0


def _reasons(out: list[OtherCause]) -> str:
    # Two causes may share one.
    reasons = dict.fromkeys(humanize_name(r.reason.rstrip(".")) for r in out)
    return _capitalize_first("; ".join(reasons)) + "."


def _holds(finding: Finding) -> str:
    evidence = describe_trial(finding.trial) if finding.trial else "; ".join(
        format_metric(e.metric, e.value, e.unit) for e in finding.evidence
    )  # fmt: skip
    keys = ", ".join(
        f"{key} = {format_plain(value)}" for key, value in finding.recommended_config.items()
    )
    text = f"{finding.cause.replace('_', ' ')}: {evidence or finding.advice}".rstrip(".")
    return _capitalize_first(text) + "." + (f" Recommended: {keys}." if keys else "")


def _capitalize_first(text: str) -> str:
    return text[:1].upper() + text[1:]


def _sentence(run: RecordedRun, answers: list[ChecklistAnswer], diagnosis: Diagnosis | None) -> str:
    folder = run.folder
    if has_diverged(folder):
        return f"The run diverged, so all five are open. To go on: {suggest_fix(folder)}."
    if diagnosis is None:
        return (
            "Not diagnosed yet, so all five are open. "
            f"`descend diagnose {quoted(folder)}` answers them with test runs of about "
            f"{format_duration(diagnosis_seconds(run.estimated_total_seconds))} in all."
        )
    other = _cause_outside(diagnosis)
    no = [a.rule for a in answers if a.answer == "no"]
    still_open = [a for a in answers if a.answer == "open"]
    unproved = [a for a in answers if not a.is_tested and a.answer != "open"]
    if len(still_open) == len(answers):
        text = "All five are open."
    else:
        text = f"Answered no: {', '.join(no)}." if no else "None is answered no."
        text = f"{other} {text}" if other else text
        if unproved:
            text += (
                f" {len(unproved)} of {len(answers)} answers rest on recorded numbers, not on "
                "trials."
            )
        if still_open:
            text += f" Open: {', '.join(a.rule for a in still_open)}."
    return f"{text} {_advice(folder, diagnosis)}" if unproved or still_open else text


def _cause_outside(diagnosis: Diagnosis) -> str:
    """Return a sentence on the likely cause where none of the five questions asks for it."""
    first = diagnosis.causes[0] if diagnosis.causes else None
    if first is None or first.cause != diagnosis.verdict:
        return ""
    if any(first.cause in rule.causes for rule in RULES):
        return ""
    headline = next(cause.headline for cause in CAUSES if cause.name == first.cause)
    fix = f"; {first.advice}" if first.advice else ""
    return f"The likely cause is none of the five: {headline}{fix}."


def _advice(folder: Path, diagnosis: Diagnosis) -> str:
    """Return how to have more tried, by what stood in the way."""
    if diagnosis.verdict == "diverged":
        command = f"`descend train --from-run {quoted(folder)} --apply-fix`"
        return f"Train a run that does not diverge: {command}."
    if diagnosis.untested_reason:
        return _capitalize_first(diagnosis.untested_reason) + "."
    budget = larger_trial_budget(diagnosis.cost)
    if budget is None:
        return "The run is too short for longer trials: train longer, then diagnose again."
    return (
        f"`descend diagnose {quoted(folder)} --trial-budget {budget:g}` gives the trials twice the "
        "time."
    )


def _size(run: RecordedRun) -> str:
    per = run.summary.parameters / max(run.corpus_count("train_tokens"), 1)
    return (
        f"Recorded: {run.summary.parameters:,} parameters, {format_significant(per)} for each"
        f" token of training text. {_gap(run)}."
    )


def _rate(run: RecordedRun) -> str:
    peak = format_significant(run.peak_learning_rate)
    text = f"Recorded: a peak learning rate of {peak}."
    ratios = sorted(run.update_ratios.values())
    if ratios:
        change = format_significant(100 * ratios[len(ratios) // 2])
        text += f" A typical step changes a weight matrix by {change}% of its size."
    clipped = format_percent(run.clipped_step_fraction)
    return f"{text} The gradient was clipped in {clipped} of the steps."


def _batch(run: RecordedRun) -> str:
    return (
        f"Recorded: {run.num_steps:,} steps of {run.tokens_per_step:,} tokens each. A larger "
        "batch means fewer steps on the same text."
    )


def _context(run: RecordedRun) -> str:
    length = run.config.seq_len
    size = f"{length * run.bytes_per_token:.0f} bytes"
    return f"Recorded: sequences of {length} tokens, about {size} of text."


def _data(run: RecordedRun) -> str:
    return (
        f"Recorded: {run.corpus_count('train_tokens'):,} training tokens, read for "
        f"{format_epochs_read(run.summary)}. {_gap(run)}."
    )


def _gap(run: RecordedRun) -> str:
    best, last = run.best_epoch, run.epochs[-1]
    when = f"At the best epoch ({best.epoch} of {last.epoch})"
    if len(run.epochs) == 1:
        when = f"After {format_epochs_read(run.summary)}"
    losses = f"training loss was {best.loss_end:.2f} and the validation loss"
    return f"{when} the {losses} {best.validation_loss:.2f}"


RULES = (
    ChecklistItem("model size", "Is the model big enough?", ("model_too_small",), _size),
    ChecklistItem(
        "learning rate",
        "Is the learning rate right?",
        ("learning_rate_too_low", "learning_rate_too_high"),
        _rate,
    ),
    ChecklistItem(
        "batch size", "Is the batch size right?", ("batch_too_small", "batch_too_large"), _batch
    ),
    ChecklistItem("context", "Is the context long enough?", ("context_too_short",), _context),
    ChecklistItem("data", "Is there enough text?", ("too_little_data",), _data),
)
"""The golden rules of the guide, in its order."""
