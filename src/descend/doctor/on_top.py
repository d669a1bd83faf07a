"""What more there is to gain once the best remedy is in place: raced again on top of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import msgspec

from descend.doctor.diagnosis import NEW_VOCABULARY_METRIC, Finding, OtherCause
from descend.doctor.gains import TreatmentEffect, control_curve
from descend.doctor.race import TrialSeries, run_trial_series
from descend.doctor.reading import Measurements
from descend.doctor.rounds import limit_to_budget, evaluate_series, treatment_sequences, add_seeds_until_decided
from descend.doctor.suspicion import RankedCause
from descend.doctor.verdict import Verdict
from descend.settings import with_changes
from descend.signals.curve import InterpolatedCurve

MAX_COMBINED = 4
"""Causes raced on top of a remedy."""
LEAST_SEEDS = 2
"""Pairs of runs under which no further cause is told: what the time left is enough for differs from
one diagnosis to the next, and a pair alone would then decide what is prescribed."""


@dataclass(frozen=True)
class AdditionalFindings:
    """Remedies on top of the first, each found with all before it in place, and all that was tried
    there."""

    findings: tuple[Finding, ...] = ()
    raced: frozenset[str] = frozenset()


def find_additional_causes(
    race: TrialSeries,
    gain: TreatmentEffect,
    causes: Sequence[str],
    found: list[RankedCause],
    readings: Measurements,
    own: float | None,
    spared: Collection[str] = (),
) -> AdditionalFindings:
    """The best further remedy, and on top of that the next, until none gains or time is spent.

    `gain`: the best of `race`, whose `ends` holds for all that follows; `causes`: those whose
    remedies are in place then, the last one that of `gain`; `own`: as in `all_gains`; `spared`:
    others that are not to be tried.
    """
    findings: list[Finding] = []
    raced: set[str] = set()
    shown, names = _shown(race), list(causes)
    curve = control_curve(race, own)
    while race.remaining_seconds() > 0:
        race = combined_trial_series(race, gain, curve)
        ladders = race.long_enough_for(treatment_sequences(race.recorded_run, race.base, found, readings))
        others = [x for x in ladders if x[0].cause not in {*names, *spared}]
        # Those that gained most before, and those not yet raced, in order of suspicion.
        others.sort(key=lambda x: -shown.get(x[0].cause, 0.0))
        others = others[:MAX_COMBINED]
        if findings or race.full_length_factor > 1:  # a first round is not cut short
            others = limit_to_budget(race, others)
        if not others:
            break
        run_trial_series(race, others, "trying on top of it")
        raced |= {ladder[0].cause for ladder in others}
        shown |= _shown(race)
        best = best_additional_finding(race, names, found, readings)
        if best is None:
            break
        finding, gain = best
        findings.append(finding)
        names.append(finding.cause)
        if gain.treatment.change.is_ablation:
            break
    return AdditionalFindings(tuple(findings), frozenset(raced))


def best_additional_finding(
    race: TrialSeries, causes: Sequence[str], found: list[RankedCause], readings: Measurements
) -> tuple[Finding, TreatmentEffect] | None:
    """The best that `race` proves by more than a pair of runs, told and measured; `causes`: those
    whose remedies both sides have."""
    judged = add_seeds_until_decided(race, found, readings, None, evaluate_series(race, found, readings, None))
    finding = confirmed_finding(judged.findings)
    if finding is None or finding.trial is None:
        return None
    trial = msgspec.structs.replace(finding.trial, applied_causes=list(causes))
    if race.base.vocab_path is None:  # the very tokenizer of the run, until another is prescribed
        trial = msgspec.structs.replace(trial, metric=NEW_VOCABULARY_METRIC)
    return msgspec.structs.replace(finding, trial=trial), judged.best[finding.cause]


def confirmed_finding(findings: list[Finding]) -> Finding | None:
    """The first of `findings` that is no chance by more than a pair of runs: of a race on top that
    leaves its verdict in doubt, what may gain is not told."""
    trials = ((f, f.trial) for f in findings if f.trial)
    return next((f for f, t in trials if t.is_significant and t.seeds >= LEAST_SEEDS), None)


def combined_trial_series(race: TrialSeries, gain: TreatmentEffect, curve: InterpolatedCurve | None) -> TrialSeries:
    """A race in which both sides have the remedy of `gain`, until the same time: where it is more
    steps, both make them. Runs of `race` that are the same here are in the cache of trials.

    `curve`: of the run examined, by length; None where trials are as long as it is. With a remedy
    that is worth so many times the steps, a trial stands so much further on it.
    """
    change = gain.treatment.change
    return TrialSeries(
        race.recorded_run, with_changes(race.base, change.keys), round(change.steps * race.steps), race.deadline,
        race.progress,
        full_length_factor=change.steps * race.full_length_factor,
        known_curve=curve,
        head_start=race.head_start * (gain.equivalent_step_factor or 1.0) / change.steps,
    )  # fmt: skip


def merge_findings(judged: Verdict, first: str, more: Sequence[Finding]) -> Verdict:
    """Each further cause right after the one that it comes on top of, beginning with `first`; one
    found before gives way to it. `judged` as it is where `first` was not likely enough to be told.
    """
    told = next((f for f in judged.findings if f.cause == first and f.trial), None)
    if told is None or not more:
        return judged
    names = {f.cause for f in more}
    rest = [f for f in judged.findings if f.cause not in names]
    place = rest.index(told) + 1
    out: list[OtherCause] = [r for r in judged.ruled_out if r.cause not in names]
    return replace(judged, findings=[*rest[:place], *more, *rest[place:]], ruled_out=out)


def _shown(race: TrialSeries) -> dict[str, float]:
    """The best gain of each cause on the run's own seed, at least 0."""
    best: dict[str, float] = {}
    for lane in race.treatments_run():
        gains = race.loss_reductions(lane)
        best[lane.cause] = max([best.get(lane.cause, 0.0), *gains[:1]])
    return best
