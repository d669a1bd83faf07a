"""One round of the trial series: its treatments and its verdict."""

from __future__ import annotations

from typing import Any

from descend.config import RunConfig
from descend.diagnosis.effect_ranking import best_effect_per_cause
from descend.diagnosis.effects import TreatmentEffect, estimate_effects
from descend.diagnosis.ranking import RankedCause
from descend.diagnosis.run_context import RunContext
from descend.diagnosis.treatments import Treatment, recommended_changes, up_to_whole_epoch
from descend.diagnosis.trial_length import fits_in_budget
from descend.diagnosis.trial_series import SEEDS, TrialSeries, run_series_trials
from descend.diagnosis.verdict import Verdict, decide_verdict
from descend.metrics.measurement import Measurements

FIXED_BY_PARENT = ("embed_dim", "max_seq_len", "vocab_size")
"""What a run that went on from another model cannot change."""
NUM_FINALISTS = 2
"""Treatments that are given more seeds where three leave the verdict in doubt."""
CONFIDENT_PROBABILITY = 0.8
"""Probability of a verdict from which it is in no doubt."""


def treatment_sequences(
    recorded_run: RunContext,
    config: RunConfig,
    ranked_causes: list[RankedCause],
    measurements: Measurements,
) -> list[list[Treatment]]:
    """Return the treatments to test, a sequence a cause (a cause has more where one
    must not wait for another), the most probable first."""
    fixed = set(FIXED_BY_PARENT) if recorded_run.metadata.parent else set()
    sequences = []
    for ranked_cause in ranked_causes:
        if ranked_cause.exclusion_reason is None and ranked_cause.cause.name != "diverged":
            changes = ranked_cause.cause.treatments(config, measurements)
            own: list[list[Treatment]] = []
            for change in changes:
                if fixed & change.keys.keys():
                    continue
                treatment = Treatment(ranked_cause.cause.name, change, ranked_cause.cause.is_costly)
                if change.begins_sequence or not own:
                    own.append([treatment])
                else:
                    own[-1].append(treatment)
            sequences += own
    return sequences


def limit_to_budget(series: TrialSeries, sequences: list[list[Treatment]]) -> list[list[Treatment]]:
    """As many of `sequences` as can be tried in the time that is left."""
    count = len(sequences)
    while count and not fits_in_budget(
        series, [None, *(sequence[0] for sequence in sequences[:count])]
    ):
        count -= 1
    return sequences[:count]


def evaluate_series(
    series: TrialSeries,
    ranked_causes: list[RankedCause],
    measurements: Measurements,
    own: float | None,
) -> Verdict:
    """Return the verdict by all that was tested so far; `own` as in `estimate_effects`."""
    effects = estimate_effects(series, own)
    prescriptions = _prescriptions(series, effects)
    return decide_verdict(ranked_causes, measurements, effects, prescriptions, series.run_fraction)


def _prescriptions(
    series: TrialSeries, effects: list[TreatmentEffect]
) -> dict[str, dict[str, Any]]:
    """Return the settings of each cause's best treatment; what only takes away is no treatment."""
    direct_effects = [g for g in effects if not g.treatment.change.is_ablation]
    return {
        name: recommended_changes(
            series.recorded_run,
            series.base,
            up_to_whole_epoch(effect.treatment.change),
            series.recommended_length_factor,
        )
        for name, effect in best_effect_per_cause(direct_effects).items()
        if effect.is_significant
    }


def add_seeds_until_decided(
    series: TrialSeries,
    ranked_causes: list[RankedCause],
    measurements: Measurements,
    own: float | None,
    verdict: Verdict,
) -> Verdict:
    """Return `verdict` after more seeds for its contenders, while it is in doubt and time is left.

    A cause that is sure enough is in no doubt; that a run is healthy is, as long as a treatment
    that may be chance gained as much as would count.
    """
    for seed in series.seeds[SEEDS:]:
        treatments = [None, *(effect.treatment for effect in verdict.finalists[:NUM_FINALISTS])]
        if verdict.probability >= CONFIDENT_PROBABILITY and verdict.verdict not in (
            "unknown",
            "healthy",
        ):
            break
        if len(treatments) == 1 or not fits_in_budget(series, treatments):
            break
        early = series.seeds[1:SEEDS]  # of one that was not among the best few at first
        run_series_trials(
            series,
            [(treatment, s) for s in (*early, seed) for treatment in treatments],
            "more seeds",
        )
        verdict = evaluate_series(series, ranked_causes, measurements, own)
    return verdict
