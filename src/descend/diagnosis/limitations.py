"""What was not tried and why, and what is worth knowing of a run with nothing wrong."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import msgspec

from descend.config import RunConfig
from descend.diagnosis.causes import undertrained
from descend.diagnosis.causes.data_leakage import is_mostly_copied
from descend.diagnosis.causes.undertrained import MIN_LAST_EPOCH_FALL_NATS
from descend.diagnosis.diagnosis_result import OtherCause
from descend.diagnosis.reference_ranges import reference_range
from descend.diagnosis.run_context import RunContext
from descend.diagnosis.sentences import (
    NO_TRIALS_BY_FLAG,
    NO_TRIALS_ON_COPIES,
    NO_TRIALS_WITHOUT_TEXT,
    describe_better_parent,
    describe_falling_loss,
    describe_few_tokens,
    describe_gap,
    describe_gap_to_counting,
    describe_missing_parent,
    describe_too_short,
    describe_unread_text,
)
from descend.diagnosis.treatments import Treatment
from descend.diagnosis.trial_series import TrialSeries, is_too_short
from descend.diagnosis.verdict import WORSE_THAN_COUNTING, Verdict
from descend.metrics.measurement import Measurements, measurement_value
from descend.runs.epochs_read import reads_whole_text

MIN_VALIDATION_TOKENS = 1000
"""Validation tokens under which no difference between two runs can be distinguished from chance:
0.1 nat is one standard error there."""


def no_trials_reason(
    recorded_run: RunContext, measurements: Measurements, proof: bool
) -> str | None:
    """Return why nothing can be tried, or None."""
    if recorded_run.store is None:
        return NO_TRIALS_WITHOUT_TEXT
    if recorded_run.lacks_parent:
        return describe_missing_parent(str(recorded_run.metadata.parent))
    if not proof:
        return NO_TRIALS_BY_FLAG
    tokens = measurement_value(measurements, "validation_tokens")
    if not recorded_run.had_divergence and tokens < MIN_VALIDATION_TOKENS:
        return describe_few_tokens(tokens, MIN_VALIDATION_TOKENS)
    if not recorded_run.had_divergence and is_mostly_copied(measurements):
        return NO_TRIALS_ON_COPIES
    return None


def add_untested_causes(
    verdict: Verdict,
    treatment_sequences: list[list[Treatment]],
    series: TrialSeries,
    tested_causes: Collection[str],
) -> Verdict:
    """Return `verdict`, saying of what could have been tested and was not that it was not tried,
    and why.

    `treatment_sequences`: what could have been; `tested_causes`: causes tried on top of the best
    treatment of `series`.
    """
    weakest_changes = {sequence[0].cause: sequence[0].change for sequence in treatment_sequences}
    reasons = {treatment.cause: reason for treatment, reason in series.invalid_treatments.items()}

    def mark_untested(out: OtherCause) -> OtherCause:
        if out.trial is not None or out.cause not in weakest_changes or out.cause in tested_causes:
            return out
        change, untested_reason = weakest_changes[out.cause], reasons.get(out.cause, out.reason)
        if is_too_short(series, change):
            untested_reason = describe_too_short(change.label, change.min_run_fraction)
        return msgspec.structs.replace(out, reason=untested_reason, is_untested=True)

    return replace(verdict, ruled_out=[mark_untested(out) for out in verdict.ruled_out])


def describe_unread_part(verdict: Verdict, measurements: Measurements, folder: Path) -> list[str]:
    """Return what to do where the run read only a part of its text, unless a trial or a measurement
    rules out that more of it helps."""
    num_epochs = measurement_value(measurements, "epochs", 1.0)
    excluded = any(
        out.cause == undertrained.CAUSE.name
        and (
            undertrained.cannot_be(RunConfig(), measurements) is not None
            if out.trial is None
            else not out.is_inconclusive and not out.also_improves
        )
        for out in verdict.ruled_out
    )
    if reads_whole_text(num_epochs) or excluded:
        return []
    has_fix = any(
        finding.recommended_config and finding.cause != undertrained.CAUSE.name
        for finding in verdict.findings
    )
    return [describe_unread_text(num_epochs, folder, has_fix=has_fix)]


def describe_unexplained_gap(
    verdict: Verdict, measurements: Measurements, folder: Path
) -> list[str]:
    """Return what to do about a model that counting beats, where no tested change helps."""
    gap = measurement_value(measurements, "gap_to_ngram_nats")
    if verdict.verdict != "unknown" or not verdict.best or gap <= WORSE_THAN_COUNTING:
        return []
    loss, ngram_loss = (
        measurement_value(measurements, name)
        for name in ("measured_validation_loss", "best_ngram_loss")
    )
    said = describe_gap_to_counting(loss, ngram_loss, folder)
    return [*_describe_large_gap(measurements, is_tested=False), said]


def _describe_large_gap(measurements: Measurements, *, is_tested: bool) -> list[str]:
    gap = measurement_value(measurements, "generalization_gap_nats")
    _, usual = reference_range("generalization_gap_nats")
    return [describe_gap(gap, is_tested)] if usual is not None and gap >= usual else []


def describe_lower_parent(recorded_run: RunContext) -> list[str]:
    """Return a warning where the model that the run continued has the lower validation loss."""
    before, loss = recorded_run.metadata.parent_loss, recorded_run.summary.validation_loss
    return [] if before is None or loss <= before else [describe_better_parent(before, loss)]


def describe_normal_run(
    measurements: Measurements, folder: Path, untested_reason: str | None
) -> list[str]:
    """Return what is worth knowing of a run with nothing wrong; `untested_reason`: why that is not
    proved."""
    lines = _describe_large_gap(measurements, is_tested=not untested_reason)
    falls = measurement_value(measurements, "last_epoch_loss_reduction")
    # Trials include twice the steps. Of well known text, more epochs would memorize more.
    if untested_reason and not lines and falls >= MIN_LAST_EPOCH_FALL_NATS:
        lines.append(describe_falling_loss(falls, folder))
    return lines
