"""A verdict from a loss log alone: what the curve shows, and what it cannot show.

The same shape as a run's diagnosis, with `not_checked` and `normal` beside it. The verdicts are few
and the probabilities modest on purpose: most causes leave the same curve.
"""

from __future__ import annotations

import math
import time
from pathlib import Path

import msgspec

from descend.diagnosis.diagnosis_result import Evidence, Finding, OtherCause
from descend.loss_logs.break_offs import add_break_off
from descend.loss_logs.curve_features import CurveFeatures, extract_curve_features
from descend.loss_logs.curve_rules import apply_curve_rules, can_be_extrapolated
from descend.loss_logs.expected_loss import UNKNOWN_LEVEL, ExpectedLoss, expected_loss_range
from descend.loss_logs.judgment import LogVerdict, Shape
from descend.loss_logs.log import BreakOff, LogEntry, LossLog, RunLosses
from descend.loss_logs.lost_validation import add_lost_validation, count_lost_validations
from descend.loss_logs.program_faults import add_program_faults
from descend.loss_logs.read_log import read_log
from descend.runs.event_log import read_program_warnings

SCHEMA = 1


class UncheckedCause(msgspec.Struct, frozen=True):
    """A cause that this curve, or any curve, does not settle, and what it would take."""

    cause: str
    required_data: str


class NormalityAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Is this curve normal? `answer`: yes, no, or cannot tell."""

    answer: str
    reason: str
    band: ExpectedLoss


class LogCost(msgspec.Struct, frozen=True):
    """What the reading took; the run's own time is not known."""

    seconds: float
    fraction_of_run: float | None = None


class LogDiagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """`diagnose LOG --json`."""

    log: str
    kind: str
    """Which program's format it is in."""
    normal: NormalityAnswer
    verdict: str
    probability: float
    causes: list[Finding]
    """None of them tried: nothing was run."""
    ruled_out: list[OtherCause]
    not_checked: list[UncheckedCause]
    features: CurveFeatures | None
    break_off: BreakOff | None = None
    """What ended the run before its end, where the log tells."""
    advice: str = ""
    """What to do where no cause is named."""
    warnings: list[str]
    cost: LogCost
    schema: int = SCHEMA


def diagnose_log(
    path: Path, *, corpus: str | None = None, vocab_size: int | None = None
) -> LogDiagnosis:
    """Return what the loss log at `path` says of its run.

    With `corpus` (what the run trained on) and `vocab_size` the losses expected there are known.
    `LogError` where there is no curve, `CorpusError` where the corpus cannot be read.
    """
    began = time.monotonic()
    return judge_log(path, in_nats(read_log(path)), corpus, vocab_size, began)


def judge_log(
    path: Path,
    log: LossLog,
    corpus: str | None = None,
    vocab_size: int | None = None,
    began: float | None = None,
) -> LogDiagnosis:
    """Return the same of a `log` in nats that was read from `path`, with time since `began`."""
    began = time.monotonic() if began is None else began
    curve = extract_curve_features(log)
    band = expected_loss_range(corpus, vocab_size) if log.sums is None else UNKNOWN_LEVEL
    shape = Shape(log, curve, band)
    verdict = add_break_off(shape, add_lost_validation(shape, apply_curve_rules(shape)))
    verdict = add_program_faults(verdict, read_program_warnings(path))
    if curve is not None and not can_be_extrapolated(shape, verdict):
        curve = msgspec.structs.replace(curve, extrapolation=None)
    return LogDiagnosis(
        log=str(path),
        kind=log.kind,
        normal=NormalityAnswer(answer=verdict.normal, reason=verdict.reason, band=band),
        verdict=verdict.verdict,
        probability=verdict.probability,
        causes=[_finding(verdict)] if verdict.cause else [],
        ruled_out=[OtherCause(cause=c, reason=why) for c, why in verdict.ruled_out.items()],
        not_checked=[] if log.objective is not None else unchecked_causes(verdict),
        features=curve,
        break_off=log.break_off,
        advice="" if verdict.cause else verdict.advice,
        warnings=[*verdict.notes, *_log_warnings(log)],
        cost=LogCost(round(time.monotonic() - began, 2)),
    )


def in_nats(log: LossLog) -> LossLog:
    """Return `log` with losses in nats; itself where they are."""
    if not log.bits:
        return log
    ln_2 = math.log(2)
    entries = [
        LogEntry(
            position=e.position,
            train_loss=None if e.train_loss is None else e.train_loss * ln_2,
            validation_loss=None if e.validation_loss is None else e.validation_loss * ln_2,
            learning_rate=e.learning_rate,
            gradient_norm=e.gradient_norm,
        )
        for e in log.entries
    ]
    note = f"losses were logged in bits, {log.bits_evidence}; here they are in nats"
    earlier = [RunLosses(r.first * ln_2, r.last * ln_2) for r in log.earlier_runs]
    return msgspec.structs.replace(
        log, entries=entries, earlier_runs=earlier, notes=[*log.notes, note], bits=False
    )


def _finding(verdict: LogVerdict) -> Finding:
    assert verdict.cause is not None
    return Finding(
        cause=verdict.cause,
        probability=verdict.probability,
        evidence=[Evidence(*e) for e in verdict.evidence],
        recommended_config=verdict.recommended_config,
        advice=verdict.advice,
    )


REQUIRED_DATA: dict[str, str] = {
    "learning_rate_too_low": "a low rate, a small model, a large batch, and hard text "
    "give the same slow curve; a trial at a higher rate decides",
    "learning_rate_too_high": "a high rate may give a smooth curve that ends too high; a trial at "
    "a lower rate decides",
    "model_too_small": "needs the same training with a wider model",
    "too_little_data": "needs validation losses",
    "undertrained": "needs enough entries to see whether the loss still falls",
    "batch_too_small": "needs the gradients, or the same tokens in larger batches",
    "batch_too_large": "needs the same tokens in smaller batches",
    "context_too_short": "needs the loss by position, or a trial with a longer context",
    "context_unused": "needs the model, and the bigram baseline of this text",
    "vocabulary_too_large": "needs the tokenizer: losses of different vocabularies do not compare",
    "vocabulary_too_small": "needs the tokenizer: losses of different vocabularies do not compare",
    "noise_floor": "needs the text: it decides how low any loss can be",
    "data_leakage": "needs the text: validation passages that also occur in the training text",
    "duplicate_data": "needs the text: passages that are there twice",
    "distribution_shift": "needs the text: whether both sides are of one kind",
    "over_regularized": "needs the settings and the loss on training text in evaluation mode",
    "bad_schedule": "needs the rate of every step",
    "bad_initialization": "needs the vocabulary and the loss at the first step",
    "diverged": "needs the losses to the end",
}
"""All causes, and what it would take to see or to exclude each."""

CURVE_CAUSES = frozenset(
    {"diverged", "too_little_data", "learning_rate_too_low", "learning_rate_too_high",
     "undertrained", "bad_initialization", "context_unused", "bad_schedule"}
)  # fmt: skip
"""Causes that some curves show or exclude, the last three with vocabulary, corpus, and the logged
rate. The others no loss curve shows."""
SETTLED_BY: dict[str, frozenset[str]] = {
    "diverged": frozenset({"learning_rate_too_low", "learning_rate_too_high"}),
    "too_little_data": frozenset({"undertrained"}),
}
"""By verdict, causes whose fix is its own one, or the opposite: to leave them open beside that
would contradict it."""


def unchecked_causes(verdict: LogVerdict) -> list[UncheckedCause]:
    """Return all causes on which the curve is silent."""
    known = {verdict.cause, *verdict.ruled_out}
    if verdict.is_too_low:
        known |= {*CURVE_CAUSES, "data_leakage"}
    return [
        UncheckedCause(cause, why) for cause, why in REQUIRED_DATA.items() if cause not in known
    ]


def _log_warnings(log: LossLog) -> list[str]:
    warnings = list(log.notes)
    if log.unit == "epochs":
        warnings.append("the log has no steps, so positions are epochs")
    elif log.unit == "entries":
        missing = "the log has neither steps nor epochs"
        if log.has_epochs:
            missing = "the log has no steps, and its epochs do not count on"
        warnings.append(f"{missing}, so positions are its entries, in order")
    no_validation = all(e.validation_loss is None for e in log.entries)
    if no_validation and not count_lost_validations(log):
        warnings.append(
            "there is no validation loss in this log, so overfitting cannot be detected"
        )
    return warnings
