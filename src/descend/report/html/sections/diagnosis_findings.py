"""Why it does not learn better: evidence, trials and treatment, where the run was diagnosed."""

from __future__ import annotations

from descend.diagnosis.diagnosis_result import Diagnosis, Evidence, Finding, OtherCause, PairedTrial
from descend.diagnosis.metric_text import (
    format_metric_range,
    format_metric_value,
    metric_label,
)
from descend.diagnosis.recommended_config import merge_recommendations
from descend.handbook.run_notes.diagnosis_notes import reduction_by_change
from descend.handbook.run_notes.wording import format_ci95
from descend.report.html.charts import IntervalBar
from descend.report.html.experiment_sections import interval_figure
from descend.report.html.report_page import (
    Command,
    Paragraph,
    ReportBlock,
    ReportTable,
    Section,
    number_columns,
    word_columns,
)
from descend.report.text.diagnosis_summary import (
    assignments,
    format_trial,
    group_other_causes,
)
from descend.report.text.experiment_tables import format_p_value
from descend.units import humanize_name, quoted


def diagnosis_section(diagnosis: Diagnosis) -> Section:
    """Verdict, evidence, proof, treatment, and how the other causes were ruled out."""
    blocks: list[ReportBlock] = []
    for finding in diagnosis.causes:
        blocks += _finding(finding)
    blocks += _trials(diagnosis)
    keys = merge_recommendations(diagnosis)
    if keys:
        blocks += [
            Paragraph(f"To apply the recommended change ({assignments(keys)}):"),
            Command(f"descend train --from-run {quoted(diagnosis.run)} --apply-fix"),
        ]
    for caption, causes in group_other_causes(diagnosis):
        rows = tuple((humanize_name(r.cause), r.reason.rstrip(".")) for r in causes)
        columns = word_columns("cause", "because")
        blocks.append(ReportTable(caption, columns, rows, folded=True))
    if diagnosis.measurements:
        blocks.append(_evidence_table("All metrics of the run", diagnosis.measurements, True))
    blocks += [
        Paragraph(f"{warning[:1].upper()}{warning[1:].rstrip('.')}.", is_secondary=True)
        for warning in diagnosis.warnings
    ]
    return Section("diagnosis", "What holds it back", tuple(blocks))


def _finding(finding: Finding) -> list[ReportBlock]:
    title = f"{humanize_name(finding.cause).capitalize()} ({finding.probability:.0%} sure)"
    tried = f"Trial: {format_trial(finding.trial)}. " if finding.trial else ""
    keys = f": {assignments(finding.recommended_config)}" if finding.recommended_config else ""
    blocks: list[ReportBlock] = [
        Paragraph(f"{title}. {tried}Fix: {finding.advice.rstrip('.')}{keys}.")
    ]
    if finding.evidence:
        blocks.append(_evidence_table("The evidence", finding.evidence, True))
    return blocks


def _evidence_table(caption: str, evidence: list[Evidence], folded: bool) -> ReportTable:
    with_reasons = any(e.reason for e in evidence)
    columns = word_columns("metric") + number_columns("value") + word_columns("unit", "normal")
    if with_reasons:
        columns += word_columns("which means")
    rows = tuple(
        (
            metric_label(e.metric), format_metric_value(e.metric, e.value),
            e.unit + format_ci95(e.ci95),
            format_metric_range(e.metric, e.healthy_range) or "–", e.reason,
        )[: len(columns)]
        for e in evidence
    )  # fmt: skip
    return ReportTable(caption, columns, rows, folded=folded)


def _trials(diagnosis: Diagnosis) -> list[ReportBlock]:
    """Return every trial with an interval, the largest gain first: a figure and its table."""
    findings: list[Finding | OtherCause] = [*diagnosis.causes, *diagnosis.ruled_out]
    tested_causes = [
        (cause.cause, cause.trial) for cause in findings
        if cause.trial is not None and cause.trial.ci95 is not None
    ]  # fmt: skip
    if not tested_causes:
        return []
    tested_causes.sort(key=lambda pair: -_gain(pair[1]).value)
    spans = [_gain(trial) for _, trial in tested_causes]
    return [
        interval_figure(
            "Gain of each change in validation loss, with 95 % intervals",
            "Effect of each trial",
            spans,
            "nats per token",
        ),
        ReportTable(
            "The same run with one change: same seed, data order, and evaluation",
            (
                word_columns("changed", "for the cause")
                + number_columns(
                    "gain, nats", "95 %", "at full length", "at equal time", "p (Holm)", "pairs"
                )
            ),
            tuple(_row(cause, trial) for cause, trial in tested_causes),
            strong=frozenset(
                n
                for n, (cause, _) in enumerate(tested_causes)
                if cause in {f.cause for f in diagnosis.causes}
            ),
            folded=True,
        ),
    ]


def _gain(trial: PairedTrial) -> IntervalBar:
    """Return what the change itself brought."""
    reduction, interval = reduction_by_change(trial)
    assert interval is not None
    return IntervalBar(trial.change, reduction, *interval)


def _row(cause: str, trial: PairedTrial) -> tuple[str, ...]:
    gain, equal = _gain(trial), trial.loss_reduction_at_equal_time
    at_end = trial.full_length_loss_reduction
    return (
        gain.name,
        humanize_name(cause),
        f"{gain.value:+.3f}",
        f"{gain.low:+.3f} to {gain.high:+.3f}",
        "–" if at_end is None else f"{at_end:+.3f}",
        "–" if equal is None else f"{equal:+.3f}",
        format_p_value(trial.p_holm),
        str(trial.seeds),
    )
