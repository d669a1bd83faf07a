"""What more there is to gain once the best treatment is in place: tested again on top of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import msgspec

from descend.config_sources import with_changes
from descend.diagnosis.diagnosis_result import NEW_VOCABULARY_METRIC, Finding, OtherCause
from descend.diagnosis.effects import (
    TreatmentEffect,
    control_curve,
    estimate_effects,
    lasting_fraction,
)
from descend.diagnosis.ranking import RankedCause
from descend.diagnosis.series_evaluation import (
    add_seeds_until_decided,
    evaluate_series,
    limit_to_budget,
    treatment_sequences,
)
from descend.diagnosis.treatments import up_to_whole_epoch
from descend.diagnosis.trial_rounds import run_trial_series
from descend.diagnosis.trial_series import (
    TrialSeries,
    drop_too_short,
    list_treatments,
    paired_reductions,
)
from descend.diagnosis.verdict import Verdict
from descend.metrics.measurement import Measurements
from descend.metrics.power_law import InterpolatedCurve

MAX_COMBINED = 4
"""Causes tested on top of a treatment."""
MIN_SEEDS = 2
"""Pairs of runs under which no further cause is reported: what the time left is enough for differs
from one diagnosis to the next, and a pair alone would then decide what is recommended."""


@dataclass(frozen=True)
class AdditionalFindings:
    """Treatments on top of the first, each found with all before it in place, and all that was
    tried there."""

    findings: tuple[Finding, ...] = ()
    tested_causes: frozenset[str] = frozenset()


def find_additional_causes(
    series: TrialSeries,
    effect: TreatmentEffect,
    causes: Sequence[str],
    ranked_causes: list[RankedCause],
    measurements: Measurements,
    own: float | None,
    spared: Collection[str] = (),
) -> AdditionalFindings:
    """Return the best further treatment, and on top of that the next, until none gains or time is
    spent.

    `effect`: the best of `series`, whose budget holds for all that follows; `causes`: those whose
    treatments are in place then, the last one that of `effect`; `own`: as in `estimate_effects`;
    `spared`: others that are not to be tried.
    """
    findings: list[Finding] = []
    tested_causes: set[str] = set()
    best_reductions, names = _best_reductions(series), list(causes)
    curve = control_curve(series, own)
    lasting = lasting_fraction(series, estimate_effects(series, own))
    while series.remaining_seconds() > 0:
        series = combined_trial_series(series, effect, curve, lasting)
        sequences = drop_too_short(
            series,
            treatment_sequences(series.recorded_run, series.base, ranked_causes, measurements),
        )
        others = [x for x in sequences if x[0].cause not in {*names, *spared}]
        # Those that gained most before, and those not yet tested, in order of the ranking.
        others.sort(key=lambda x: -best_reductions.get(x[0].cause, 0.0))
        others = limit_to_budget(series, others[:MAX_COMBINED])
        if not others:
            break
        run_trial_series(series, others, "testing combinations")
        tested_causes |= {sequence[0].cause for sequence in others}
        best_reductions |= _best_reductions(series)
        best = best_additional_finding(series, names, ranked_causes, measurements)
        if best is None:
            break
        finding, effect = best
        findings.append(finding)
        names.append(finding.cause)
        if effect.treatment.change.is_ablation:
            break
    return AdditionalFindings(tuple(findings), frozenset(tested_causes))


def best_additional_finding(
    series: TrialSeries,
    causes: Sequence[str],
    ranked_causes: list[RankedCause],
    measurements: Measurements,
) -> tuple[Finding, TreatmentEffect] | None:
    """Return the best that `series` proves by more than a pair of runs, with its text and its
    measurements; `causes`: those whose treatments both sides have."""
    verdict = add_seeds_until_decided(
        series,
        ranked_causes,
        measurements,
        None,
        evaluate_series(series, ranked_causes, measurements, None),
    )
    finding = confirmed_finding(verdict.findings)
    if finding is None or finding.trial is None:
        return None
    trial = msgspec.structs.replace(finding.trial, applied_causes=list(causes))
    if series.base.vocab_path is None:  # the tokenizer of the run, until another is recommended
        trial = msgspec.structs.replace(trial, metric=NEW_VOCABULARY_METRIC)
    return msgspec.structs.replace(finding, trial=trial), verdict.best[finding.cause]


def confirmed_finding(findings: list[Finding]) -> Finding | None:
    """Return the first of `findings` that is no chance by more than a pair of runs: of a trial
    series on top that leaves its verdict in doubt, what may gain is not reported."""
    trials = ((f, f.trial) for f in findings if f.trial)
    return next((f for f, t in trials if t.is_significant and t.seeds >= MIN_SEEDS), None)


def combined_trial_series(
    series: TrialSeries,
    effect: TreatmentEffect,
    curve: InterpolatedCurve | None,
    lasting: float = 1.0,
) -> TrialSeries:
    """Return a trial series in which both sides have the treatment of `effect`, until the same
    time: where it is more steps, both make them. Runs of `series` that are the same here are in the
    cache of trials.

    `curve`: of the run examined, by length; None where trials are as long as it is. With a
    treatment that is worth so many times the steps, a trial stands so much further on it.
    `lasting`: as `TrialSeries.lasting_fraction`.
    """
    change = effect.treatment.change
    return TrialSeries(
        series.recorded_run,
        with_changes(series.base, change.keys),
        round(change.steps * series.steps),
        series.budget,
        series.progress,
        full_length_factor=change.steps * series.full_length_factor,
        recommended_length_factor=up_to_whole_epoch(change).steps
        * series.recommended_length_factor,
        known_curve=curve,
        lasting_fraction=lasting,
        head_start=series.head_start * (effect.equivalent_step_factor or 1.0) / change.steps,
        combined_with=", ".join(filter(None, [series.combined_with, change.label])),
    )


def merge_findings(verdict: Verdict, first: str, more: Sequence[Finding]) -> Verdict:
    """Return each further cause right after the one that it comes on top of, beginning with
    `first`; one found before gives way to it. `verdict` as it is where `first` was not likely
    enough to be reported.
    """
    first_finding = next((f for f in verdict.findings if f.cause == first and f.trial), None)
    if first_finding is None or not more:
        return verdict
    names = {f.cause for f in more}
    rest = [f for f in verdict.findings if f.cause not in names]
    position = rest.index(first_finding) + 1
    out: list[OtherCause] = [r for r in verdict.ruled_out if r.cause not in names]
    return replace(verdict, findings=[*rest[:position], *more, *rest[position:]], ruled_out=out)


def _best_reductions(series: TrialSeries) -> dict[str, float]:
    """Return the best gain of each cause on the run's own seed, at least 0."""
    best: dict[str, float] = {}
    for treatment in list_treatments(series):
        reductions = paired_reductions(series, treatment)
        best[treatment.cause] = max([best.get(treatment.cause, 0.0), *reductions[:1]])
    return best
