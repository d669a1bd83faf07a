"""A diagnosis from a loss log in words: normal or not, why, and what was not checked."""

from __future__ import annotations

from descend.diagnosis.diagnosis_result import BROKE_OFF, PROGRAM_BUGS, Evidence
from descend.diagnosis.metric_text import format_metric, format_metric_range
from descend.loss_logs.curve_features import CurveFeatures, averaged
from descend.loss_logs.curve_notes import EXPLODED, SINGULAR, format_loss
from descend.loss_logs.diagnose_log import CURVE_CAUSES, SETTLED_BY, LogDiagnosis
from descend.loss_logs.normality import is_by_epoch
from descend.loss_logs.positions import format_place
from descend.metrics.extrapolation import extrapolation_measurements
from descend.report.text.diagnosis_summary import describe_extrapolation
from descend.units import humanize_name

_ANSWER = {
    "yes": "Yes, this curve is normal",
    "no": "No, this curve is not normal",
    "cannot tell": "Cannot tell whether this curve is normal",
}


def format_log_diagnosis(diagnosis: LogDiagnosis, explain: bool = False) -> str:
    """Return what `descend diagnose LOG` prints."""
    answer = _ANSWER[diagnosis.normal.answer]
    if diagnosis.verdict in PROGRAM_BUGS and diagnosis.normal.answer == "no":
        answer = "No, this program has a fault"
    if diagnosis.verdict == BROKE_OFF:
        answer = "No, this run did not come to its end"
    lines = [f"{answer}: {diagnosis.normal.reason}."]
    if diagnosis.features is not None:
        lines.append(f"  {_curve(diagnosis.kind, diagnosis.features)}")
        if diagnosis.features.extrapolation is not None:
            measurements = extrapolation_measurements(
                diagnosis.features.extrapolation, SINGULAR[diagnosis.features.unit]
            )
            lines.append(f"  {describe_extrapolation(*measurements, curve='loss')}")
    lines.append(f"  Expected: {_band(diagnosis)}")
    lines += _verdict(diagnosis)
    for cause in diagnosis.causes:
        lines.append("  " + "; ".join(_evidence(e) for e in cause.evidence) + ".")
        label = "To get lower" if diagnosis.normal.answer == "yes" else "Fix"
        lines.append(f"  {label}: {cause.advice}.")
    if diagnosis.advice:
        lines.append(f"  Fix: {diagnosis.advice}.")
    lines += [f"  Note: {warning}." for warning in diagnosis.warnings]
    lines += [f"  Ruled out: {humanize_name(r.cause)}: {r.reason}." for r in diagnosis.ruled_out]
    lines += _unchecked(diagnosis, explain)
    return "\n".join(lines)


def _unchecked(diagnosis: LogDiagnosis, explain: bool) -> list[str]:
    """Return the causes that this curve leaves open, apart from those that no loss curve shows."""
    settled = SETTLED_BY.get(diagnosis.verdict, frozenset())
    is_open = [n for n in diagnosis.not_checked if n.cause in CURVE_CAUSES - settled]
    is_hidden = [n for n in diagnosis.not_checked if n.cause not in CURVE_CAUSES]
    lines = []
    for label, causes in (
        ("Not excluded (this curve does not settle it)", is_open),
        ("Not checked (a loss curve cannot show it)", is_hidden),
    ):
        names = ", ".join(humanize_name(n.cause) for n in causes)
        if explain and causes:
            lines.append(f"  {label}:")
            lines += [f"    {humanize_name(n.cause)}: {n.required_data}." for n in causes]
        elif causes:
            lines.append(f"  {label}: {names} (details: --verbose).")
    return lines


def _verdict(diagnosis: LogDiagnosis) -> list[str]:
    sure = f"({diagnosis.probability:.0%} sure, from a curve alone)"
    if diagnosis.verdict == BROKE_OFF:
        return ["Likely cause: what the last lines of the log report, and nothing in the curve."]
    if diagnosis.verdict in PROGRAM_BUGS:
        sure = f"({diagnosis.probability:.0%} sure, from what descend.watch recorded)"
        return [f"Likely cause: {humanize_name(diagnosis.verdict)} {sure}."]
    if diagnosis.verdict == "healthy":
        return [f"The curve shows no problem {sure}."]
    if diagnosis.verdict == "unknown" and diagnosis.normal.answer == "yes":
        return ["The curve shows no fault, and does not exclude all of them."]
    if diagnosis.verdict == "unknown" and diagnosis.advice:
        return ["This curve alone does not settle the cause."]
    if diagnosis.verdict == "unknown":
        return ["No cause could be determined from this curve."]
    if diagnosis.normal.answer == "yes":
        return [f"No fault, but {humanize_name(diagnosis.verdict)} {sure}."]
    return [f"Likely cause: {humanize_name(diagnosis.verdict)} {sure}."]


def _curve(kind: str, curve: CurveFeatures) -> str:
    numbers = ""
    if curve.first_nonfinite is not None:
        numbers = f", {curve.finite_points:,} of them finite"
    last = max(curve.length, curve.validation_last_at)
    over = f" over {format_place(last)} {curve.unit}" if curve.unit != "entries" else ""
    if is_by_epoch(curve) and curve.first_position == 0:
        over = f" over {format_place(curve.length + 1)} epochs, numbered from 0"
    numbers += "," if numbers and over else ""
    text = (
        f"Read as {kind}: {curve.entries:,} entries{numbers}{over}, loss "
        f"{format_loss(curve.first)} → {format_loss(curve.end)}"
    )
    if averaged(curve.finite_points) > 1:
        is_far = curve.last > EXPLODED * curve.end
        at_last = f", the last {format_loss(curve.last)}" if is_far else ""
        text += f" (mean of the last twentieth{at_last})"
    if curve.validation_end is not None and curve.validation_best is not None:
        text += (
            f", validation loss {format_loss(curve.validation_end)} (lowest "
            f"{format_loss(curve.validation_best)} at "
            f"{format_place(curve.validation_best_at or 0.0)})"
        )
    return text + "."


def _band(diagnosis: LogDiagnosis) -> str:
    band = diagnosis.normal.band
    parts = []
    if band.start_low is not None and band.start_high is not None:
        parts.append(f"a first loss of {band.start_low:.2f} to {band.start_high:.2f}")
    if band.low is not None and band.high is not None:
        parts.append(f"a validation loss between {band.low:.2f} and {band.high:.2f} at the end")
    text = " and ".join(parts)
    return f"{text} ({band.source})." if text else f"{band.source}."


def _evidence(evidence: Evidence) -> str:
    healthy = format_metric_range(evidence.metric, evidence.healthy_range)
    healthy = f" (normal: {healthy})" if healthy else ""
    text = format_metric(evidence.metric, evidence.value, evidence.unit)
    return f"{text}{healthy}: {evidence.reason}"
