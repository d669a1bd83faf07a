"""Why it does not learn better: evidence, trials and remedy, where the run was diagnosed."""

from __future__ import annotations

from descend.doctor.diagnosis import Diagnosis, Evidence, Finding, RuledOut, Trial
from descend.doctor.healthy import in_words
from descend.doctor.prescription import merged_prescription
from descend.handbook.yours.wording import interval_words, significant
from descend.report.diagnosis import (
    assignments,
    change_word,
    proof,
    sorted_out,
    word,
)
from descend.report.experiments import chance
from descend.report.figures import Axis, Span, intervals
from descend.report.page import Block, Column, Command, Figure, Paragraph, Section, Table
from descend.units import quoted


def diagnosis_section(found: Diagnosis) -> Section:
    """Verdict, evidence, proof, remedy, and how the other causes were ruled out."""
    blocks: list[Block] = []
    for finding in found.causes:
        blocks += _finding(finding)
    blocks += _trials(found)
    keys = merged_prescription(found)
    if keys:
        blocks += [
            Paragraph(f"To apply what it prescribes ({assignments(keys)}):"),
            Command(f"descend train --from-run {quoted(found.run)} --apply"),
        ]
    for caption, causes in sorted_out(found):
        rows = tuple((word(r.cause), r.because.rstrip(".")) for r in causes)
        columns = (Column("cause", False), Column("because", False))
        blocks.append(Table(caption, columns, rows, folded=True))
    if found.readings:
        blocks.append(_evidence_table("All that was read off the run", found.readings, True))
    blocks += [
        Paragraph(f"{note[:1].upper()}{note[1:].rstrip('.')}.", quiet=True) for note in found.notes
    ]
    return Section("diagnosis", "What holds it back", tuple(blocks))


def _finding(finding: Finding) -> list[Block]:
    title = f"{word(finding.cause).capitalize()}, confidence {finding.probability:.2f}"
    tried = f"Proof: {proof(finding.trial)}. " if finding.trial else ""
    keys = f": {assignments(finding.prescription)}" if finding.prescription else ""
    blocks: list[Block] = [
        Paragraph(f"{title}. {tried}Remedy: {finding.remedy.rstrip('.')}{keys}.")
    ]
    if finding.evidence:
        blocks.append(_evidence_table("The evidence", finding.evidence, False))
    return blocks


def _evidence_table(caption: str, evidence: list[Evidence], folded: bool) -> Table:
    with_reasons = any(e.why for e in evidence)
    columns = [Column("signal", False), Column("value"), Column("unit", False),
               Column("healthy", False)]  # fmt: skip
    if with_reasons:
        columns.append(Column("which means", False))
    rows = tuple(
        (
            word(e.signal), significant(e.value), e.unit + interval_words(e.ci95),
            in_words(e.healthy_range) or "–", e.why,
        )[: len(columns)]
        for e in evidence
    )  # fmt: skip
    return Table(caption, tuple(columns), rows, folded=folded)


def _trials(found: Diagnosis) -> list[Block]:
    """Every trial with an interval, the largest gain first: a figure and its table."""
    judged: list[Finding | RuledOut] = [*found.causes, *found.ruled_out]
    raced = [
        (cause.cause, cause.trial) for cause in judged
        if cause.trial is not None and cause.trial.ci95 is not None
    ]  # fmt: skip
    if not raced:
        return []
    raced.sort(key=lambda pair: -pair[1].gain)
    spans = [Span(change_word(t), t.gain, *t.ci95) for _, t in raced if t.ci95]
    told = "; ".join(f"{s.name} {s.value:+.3f} ({s.low:+.3f} to {s.high:+.3f})" for s in spans)
    return [
        Figure(
            "Gain of each change in held-out loss, with 95 % intervals: right of zero is better",
            f"Gain of each trial: {told}.",
            intervals(spans, Axis("gain, nats per token")),
            height=70 + 34 * len(spans),
        ),
        Table(
            "The same run again with one thing changed: same seed, data order and evaluation",
            (Column("changed", False), Column("for the cause", False), Column("gain, nats"),
             Column("95 %"), Column("at equal time"), Column("p (Holm)"), Column("pairs")),
            tuple(_row(cause, trial) for cause, trial in raced),
            strong=frozenset(
                n for n, (cause, _) in enumerate(raced) if cause in {f.cause for f in found.causes}
            ),
        ),
    ]  # fmt: skip


def _row(cause: str, trial: Trial) -> tuple[str, ...]:
    assert trial.ci95 is not None
    equal = trial.gain_at_equal_time
    return (
        change_word(trial), word(cause), f"{trial.gain:+.3f}",
        f"{trial.ci95[0]:+.3f} to {trial.ci95[1]:+.3f}", "–" if equal is None else f"{equal:+.3f}",
        chance(trial.p_holm), str(trial.seeds),
    )  # fmt: skip
