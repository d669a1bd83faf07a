"""One round of the race: who enters, and what it says."""

from __future__ import annotations

from typing import Any

from descend.config import RunConfig
from descend.doctor.case import RecordedRun
from descend.doctor.causes import CAUSES
from descend.doctor.gains import TreatmentEffect, estimate_effects
from descend.doctor.lanes import Treatment, recommended_changes
from descend.doctor.race import SEEDS, TrialSeries, fits_in_budget
from descend.doctor.reading import Measurements
from descend.doctor.suspicion import RankedCause
from descend.doctor.verdict import Verdict, best_effect_per_cause, decide_verdict

FIXED_BY_PARENT = ("embed_dim", "max_seq_len", "vocab_size")
"""What a run that went on from another model cannot change."""
NUM_FINALISTS = 2
"""Remedies that are given more seeds where three leave the verdict in doubt."""
CONFIDENT_PROBABILITY = 0.8
"""Probability of a verdict from which it is in no doubt."""
MOST_SUSPECTED = 4
"""Of them by suspicion alone; then those that the guide asks for, then the rest."""


def treatment_sequences(
    case: RecordedRun, config: RunConfig, found: list[RankedCause], readings: Measurements
) -> list[list[Treatment]]:
    """The remedies to race, a ladder a cause, the most suspected first."""
    fixed = set(FIXED_BY_PARENT) if case.info.parent else set()
    ladders = []
    for suspect in found:
        if suspect.exclusion_reason is None and suspect.cause.name != "diverged":
            changes = suspect.cause.treatments(config, readings)
            allowed = [c for c in changes if not fixed & c.keys.keys()]
            if allowed:
                ladders.append(
                    [Treatment(suspect.cause.name, change, suspect.cause.is_costly) for change in allowed]
                )
    return ladders


def prioritize(ladders: list[list[Treatment]]) -> list[list[Treatment]]:
    """Whom to race first: the most suspected few, then what the guide asks for, then the others."""
    asked = {c.name for c in CAUSES if c.always_try}
    first, rest = ladders[:MOST_SUSPECTED], ladders[MOST_SUSPECTED:]
    return first + sorted(rest, key=lambda ladder: ladder[0].cause not in asked)


def limit_to_budget(race: TrialSeries, ladders: list[list[Treatment]]) -> list[list[Treatment]]:
    """As many of `ladders` as can be tried in the time that is left."""
    count = len(ladders)
    while count and not fits_in_budget(race, [None, *(ladder[0] for ladder in ladders[:count])]):
        count -= 1
    return ladders[:count]


def evaluate_series(race: TrialSeries, found: list[RankedCause], readings: Measurements, own: float | None) -> Verdict:
    """The verdict by all that was raced so far; `own` as in `all_gains`."""
    gains = estimate_effects(race, own)
    prescriptions = _prescriptions(race, gains)
    return decide_verdict(found, readings, gains, prescriptions, race.share_of_run)


def _prescriptions(race: TrialSeries, gains: list[TreatmentEffect]) -> dict[str, dict[str, Any]]:
    """The settings of each cause's best remedy; what only takes away is no remedy."""
    remedies = [g for g in gains if not g.treatment.change.is_ablation]
    return {
        name: recommended_changes(race.recorded_run, race.base, gain.treatment.change, race.full_length_factor)
        for name, gain in best_effect_per_cause(remedies).items()
        if gain.is_significant
    }


def add_seeds_until_decided(
    race: TrialSeries, found: list[RankedCause], readings: Measurements, own: float | None, judged: Verdict
) -> Verdict:
    """`judged` after more seeds for its contenders, while it is in doubt and time is left.

    A cause that is sure enough is in no doubt; that a run is healthy is, as long as a remedy that
    may be chance gained as much as would count.
    """
    for seed in race.seeds[SEEDS:]:
        lanes = [None, *(gain.treatment for gain in judged.finalists[:NUM_FINALISTS])]
        if judged.probability >= CONFIDENT_PROBABILITY and judged.verdict not in ("unknown", "healthy"):
            break
        if len(lanes) == 1 or not fits_in_budget(race, lanes):
            break
        early = race.seeds[1:SEEDS]  # of one that was not among the best few at first
        race.run([(lane, s) for s in (*early, seed) for lane in lanes], "more seeds")
        judged = evaluate_series(race, found, readings, own)
    return judged
