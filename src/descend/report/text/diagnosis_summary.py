"""A diagnosis in words: what holds, the numbers, the proof, what to do, what was ruled out."""

from __future__ import annotations

import math
from typing import Any

from descend.diagnosis.causes import CAUSES
from descend.diagnosis.diagnosis_result import (
    NEW_VOCABULARY_METRIC,
    Diagnosis,
    Evidence,
    Finding,
    OtherCause,
    PairedTrial,
    has_trials,
    larger_trial_budget,
)
from descend.diagnosis.metric_text import format_metric, format_metric_range
from descend.diagnosis.recommended_config import merge_recommendations
from descend.diagnosis.verdict import MIN_PROBABILITY
from descend.handbook.run_notes.diagnosis_notes import is_ablation, reduction_by_change
from descend.handbook.run_notes.wording import format_ci95, format_percent
from descend.metrics.measurement import Measurement
from descend.units import (
    format_count,
    format_duration,
    format_plain,
    humanize_name,
    quoted,
)

_HEADLINE = {cause.name: cause.headline for cause in CAUSES}
_LISTED = 4
"""Trials without effect, in the short form."""


def format_diagnosis(diagnosis: Diagnosis, explain: bool = False) -> str:
    """Return what `descend diagnose` prints; with `explain` also how each other cause was ruled
    out."""
    lines = [headline(diagnosis)]
    for position, finding in enumerate(diagnosis.causes):
        lines += _finding(finding, position, doubtful=diagnosis.verdict == "unknown")
    lines += _neutral(diagnosis)
    lines += _accuracy(diagnosis)
    lines += [f"  Note: {warning}." for warning in diagnosis.warnings]
    keys = merge_recommendations(diagnosis)
    if len(diagnosis.causes) > 1 and keys:
        lines.append(f"  Recommended together: {assignments(keys)}.")
    if explain:
        lines += _extrapolation_lines(diagnosis)
        for title, some in group_other_causes(diagnosis):
            lines += ["", f"{title}:"]
            lines += [f"  {humanize_name(r.cause)}: {r.reason}." for r in some]
        lines += ["", "Measurements:"]
        lines += [f"  {_format_evidence(e)}" for e in diagnosis.measurements]
    elif diagnosis.ruled_out and not has_trials(diagnosis):
        lines.append("  Less likely causes: use --verbose.")
    elif diagnosis.ruled_out:
        for title, some in group_other_causes(diagnosis):
            how = " (details: --verbose)" if title == OUT else ""
            if title == INCONCLUSIVE:
                how = _how_to_decide(diagnosis)
            names = ", ".join(humanize_name(r.cause) for r in some)
            if title == SMALL:
                names = "; ".join(f"{humanize_name(r.cause)}, {r.reason}" for r in some)
            lines.append(f"  {'Ruled out' if title == OUT else title}: {names}{how}.")
    lines.append(
        f"  This took {format_duration(diagnosis.cost.seconds)} "
        f"({_relative_time(diagnosis.cost.fraction_of_run)} the training time)."
    )
    if keys:
        lines.append(f"next: descend train --from-run {quoted(diagnosis.run)} --apply-fix")
    return "\n".join(lines)


LESSER = "Significant, but a smaller effect"
AS_LARGE = "As large an effect or larger, but more expensive or less certain"
INCONCLUSIVE = "Inconclusive"
UNTESTED = "Not tested"
SMALL = "Significant, but a very small effect"
OUT = "How each other cause was ruled out"
NOTHING_TRIED = "Other causes"


def group_other_causes(diagnosis: Diagnosis) -> list[tuple[str, list[OtherCause]]]:
    """Return the causes that are not reported, by what is known of them, with a title: whose
    treatments gain as well, whose trials left it open, those that are out of question, and those
    that nobody tried."""
    others = diagnosis.ruled_out
    named = [f.trial.loss_reduction for f in diagnosis.causes if f.trial and f.trial.ci95]
    best = named[0] if named else math.inf
    real = [r for r in others if r.also_improves]
    real.sort(key=lambda r: -_effect(r))
    # An effect larger than the one that is named is not ruled out, whatever its chance.
    unclear = [
        r for r in others if not r.also_improves and (r.is_inconclusive or _effect(r) >= best)
    ]
    small = [r for r in others if not r.also_improves and r not in unclear and _is_positive(r)]
    decided = [*real, *unclear, *small]
    excluded_causes = [r for r in others if r not in decided and not r.is_untested]
    groups = [
        (AS_LARGE, [r for r in real if _effect(r) >= best]),
        (LESSER, [r for r in real if _effect(r) < best]),
        (INCONCLUSIVE, unclear),
        (SMALL, small),
        (OUT if has_trials(diagnosis) else NOTHING_TRIED, excluded_causes),
        (UNTESTED, [r for r in others if r.is_untested and r not in unclear]),
    ]
    return [(title, some) for title, some in groups if some]


def _how_to_decide(diagnosis: Diagnosis) -> str:
    """Return the option that gives trials more time, where there is one."""
    budget = larger_trial_budget(diagnosis.cost)
    return "" if budget is None else f" (`--trial-budget {budget:g}` gives trials twice the time)"


def _effect(out: OtherCause) -> float:
    """Return nats that the trial of a cause gained, at full length where it ran so long; of what
    was taken away on purpose, none."""
    trial = out.trial
    if trial is None or trial.ci95 is None or is_ablation(trial):
        return -math.inf
    measured = trial.full_length_loss_reduction
    return trial.loss_reduction if measured is None else min(trial.loss_reduction, measured)


def _is_positive(out: OtherCause) -> bool:
    """Return whether the 95 % interval of what a cause's trial gained lies above zero."""
    trial = out.trial
    if trial is None or trial.ci95 is None or is_ablation(trial):
        return False
    return trial.ci95[0] > 0 and (trial.full_length_loss_reduction or math.inf) > 0


def assignments(keys: dict[str, Any]) -> str:
    """Return `learning_rate = 0.003, batch_size = 4`."""
    return ", ".join(f"{key} = {format_plain(value)}" for key, value in keys.items())


def states_probability(diagnosis: Diagnosis) -> bool:
    """Return whether a verdict is shown with its probability: not where it names nothing."""
    is_unclear = not has_trials(diagnosis) and diagnosis.probability < MIN_PROBABILITY
    return diagnosis.verdict != "unknown" and not (diagnosis.verdict == "healthy" and is_unclear)


def headline(diagnosis: Diagnosis, *, says_probability: bool = True) -> str:
    """Return the verdict as a sentence."""
    is_stated = says_probability and states_probability(diagnosis)
    sure = f" ({diagnosis.probability:.0%} sure)" if is_stated else ""
    if diagnosis.verdict == "healthy" and not has_trials(diagnosis):
        if not states_probability(diagnosis):
            return "The metrics show no clear problem, but they cannot rule one out without trials."
        return f"The metrics show no problem. No trials were run{sure}."
    if diagnosis.verdict == "healthy":
        return f"No problem found: no tested change lowers the loss by a relevant amount{sure}."
    if diagnosis.verdict == "unknown":
        return "No cause could be determined." + " Candidates:" * bool(diagnosis.causes)
    if diagnosis.verdict in ("noise_floor", "data_leakage", "diverged"):
        text = _HEADLINE[diagnosis.verdict]
        return f"{text[0].upper()}{text[1:]}{sure}."
    return f"Likely cause: {_HEADLINE[diagnosis.verdict]}{sure}."


def _relative_time(fraction: float) -> str:
    return f"{fraction:.0%} of" if fraction < MANY_TIMES else f"{fraction:.0f} times"


MANY_TIMES = 3.0
"""Multiple of the training time from which a percentage is hard to read."""


def _finding(finding: Finding, position: int, *, doubtful: bool) -> list[str]:
    lines = []
    if position or doubtful:
        after = finding.trial.applied_causes if finding.trial else []
        proved = finding.trial and not doubtful
        so = "Additional cause" if after else "Also" if proved else "Possible cause"
        lines.append(f"  {so}: {_HEADLINE[finding.cause]} ({finding.probability:.0%} sure).")
    evidence_texts = [
        _format_evidence(e) + (f": {e.reason}" if e.reason else "") for e in finding.evidence
    ]
    if evidence_texts:
        lines.append("  " + "; ".join(evidence_texts) + ".")
    if finding.trial:
        lines.append(f"  Trial: {format_trial(finding.trial)}.")
    keys = f": {assignments(finding.recommended_config)}" if finding.recommended_config else ""
    lines.append(f"  Fix: {finding.advice}{keys}.")
    return lines


def format_trial(trial: PairedTrial) -> str:
    """Return what a trial showed, with its interval."""
    if trial.ci95 is None:
        return (
            f"with {trial.change}, the run passes the step at which it diverged and reaches a "
            f"validation loss of {trial.treatment_loss:.2f}"
        )
    low, high = trial.ci95
    differs = "lower" if trial.treatment_loss < trial.control_loss else "higher"
    seeds = format_count(trial.seeds, "paired seed")
    text = (
        f"with {trial.change}, the validation loss is"
        f" {trial.loss_reduction:.2f} nats {differs} ({trial.control_loss:.2f} →"
        f" {trial.treatment_loss:.2f}; 95 % CI {low:.2f} to {high:.2f}; {seeds})"
    )
    if trial.metric == NEW_VOCABULARY_METRIC:
        text += ", in tokens of the new vocabulary"
    if trial.full_length_loss_reduction is not None:
        text += f". At full length: {trial.full_length_loss_reduction:.2f} nats"
    elif trial.extrapolated_loss_reduction is not None:
        text += (
            ". Extrapolated to a full run:"
            f" {min(trial.extrapolated_loss_reduction, trial.loss_reduction):.2f} nats"
        )
    if trial.loss_reduction_at_equal_time is not None:
        text += (
            f". It takes {trial.cost_factor:.1f} times as long. At equal time the loss reduction "
            f"is {trial.loss_reduction_at_equal_time:.2f} nats"
        )
    return text


def _accuracy(diagnosis: Diagnosis) -> list[str]:
    """Return whether a low accuracy is the model's fault or the text's."""
    values = {e.metric: e.value for e in diagnosis.measurements}
    if not {"validation_accuracy", "mean_confidence", "best_ngram_loss"} <= values.keys():
        return []
    hits, expected = values["validation_accuracy"], values["mean_confidence"]
    loss, baseline = values["measured_validation_loss"], values["best_ngram_loss"]
    is_better = loss < baseline
    return [
        f"  Accuracy: the model predicts the next validation token correctly"
        f" {format_percent(hits)} of the time. It gives its guesses a probability of"
        f" {format_percent(expected)} on average, {_calibration(hits, expected)}. Its loss is"
        f" {loss:.2f}, {'better' if is_better else 'worse'} than the {baseline:.2f} of the best"
        " n-gram baseline (up to 4-grams)."
    ]


NEAR, TIMES = 0.05, 2.0
"""Difference of accuracy and confidence under which the model knows how hard the text is, unless
one is so many times the other; first guesses."""


def _calibration(hits: float, expected: float) -> str:
    low, high = sorted((hits, expected))
    if high - low < NEAR and high <= TIMES * low:
        return "close to its accuracy"
    return f"so it is {'underconfident' if hits > expected else 'overconfident'}"


def _extrapolation_lines(diagnosis: Diagnosis) -> list[str]:
    evidence_by_metric = {e.metric: e for e in diagnosis.measurements}
    ahead, last = (
        evidence_by_metric.get("extrapolated_loss"),
        evidence_by_metric.get("loss_asymptote"),
    )
    return [] if ahead is None or last is None else [f"  {describe_extrapolation(ahead, last)}"]


def describe_extrapolation(
    ahead: Evidence | Measurement, last: Evidence | Measurement, curve: str = "training loss"
) -> str:
    """Return where a curve was going, from the measurements `extrapolated_loss` and
    `loss_asymptote`."""
    low, high = last.ci95 or (last.value, last.value)
    is_known = high - low <= MAX_RELATIVE_INTERVAL * ahead.value
    asymptote = (
        f"asymptote {last.value:.2f}{format_ci95(last.ci95)}" if is_known else "asymptote unknown"
    )
    return (
        f"Extrapolation of the {curve} at the peak learning rate: {ahead.value:.2f} {ahead.unit}"
        f"{format_ci95(ahead.ci95)}, {asymptote}. This power-law fit uses this curve only, and its "
        "interval is too narrow."
    )


MAX_RELATIVE_INTERVAL = 0.5
"""Width of the interval of a curve's floor, over its loss, from which the floor is not reported."""


def _neutral(diagnosis: Diagnosis) -> list[str]:
    neutral = [r.trial for r in diagnosis.ruled_out if r.trial is not None and r.trial.ci95]
    if not neutral:
        return []
    neutral.sort(key=lambda trial: -trial.loss_reduction)
    effects = []
    for trial in neutral[:_LISTED]:
        reduction, interval = reduction_by_change(trial)
        if interval:
            low, high = interval
            at_end = trial.full_length_loss_reduction
            lasting = "" if at_end is None else f", at full length {at_end:+.2f}"
            effects.append(f"{trial.change} {reduction:+.2f} ({low:+.2f} to {high:+.2f}){lasting}")
    return [f"  Other trials, loss reduction in nats (95 % CI): {'; '.join(effects)}."]


def _format_evidence(evidence: Evidence) -> str:
    healthy = format_metric_range(evidence.metric, evidence.healthy_range)
    healthy = f" (normal: {healthy})" if healthy else ""
    text = format_metric(evidence.metric, evidence.value, evidence.unit)
    return text + format_ci95(evidence.ci95) + healthy
