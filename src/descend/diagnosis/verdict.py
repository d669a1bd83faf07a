"""From ranking and trial series to a verdict: the cause whose treatment helps most, or none.

The causes meet here and only here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from descend.diagnosis.cause import Cause
from descend.diagnosis.causes.data_leakage import is_mostly_copied
from descend.diagnosis.causes.noise_floor import is_chance
from descend.diagnosis.diagnosis_result import Finding, OtherCause
from descend.diagnosis.effect_ranking import (
    UNTESTED_PROBABILITY,
    best_effect_per_cause,
    probability_best,
)
from descend.diagnosis.effects import TreatmentEffect
from descend.diagnosis.findings import make_finding, to_paired_trial
from descend.diagnosis.ranking import (
    RankedCause,
    softmax_probabilities,
    supporting_evidence,
)
from descend.diagnosis.sentences import TRIAL_ON_COPIES, explain_other_cause
from descend.metrics.measurement import Measurements, measurement_value

MEASURED = 0.95
"""Probability of a cause that was counted, not tried; first guess."""
WORSE_THAN_COUNTING = 0.3
"""Nats above what counting reaches from which a run is not called healthy only since no tested
change gained anything. A model 8 wide (benchmarks/results/ranges/width_8.json) stood 1.07 above;
first guess."""
MIN_PROBABILITY = 0.5
"""Of being healthy: under it, where nothing is proved, the verdict is `unknown`."""
MEASURED_SCORE = 4.0
"""Log-odds (nats) that a cause gains by having been counted; first guess."""
MIN_UNPROVED = 0.3
"""The same of the signals alone, which tell the likeliest with how likely it is. Origin: on the
development half of the benchmark half of what stands first between 0.3 and 0.5 is right."""
HEALTHY_SCORE = 1.0
"""Log-odds (nats) of a healthy run, before anything is tried; first guess."""
MIN_LISTED_PROBABILITY = 0.05
"""Probability from which a cause is reported beside the first; under it, it is reported as less."""
MAX_UNCERTAIN_CAUSES = 3
"""Treatments that are reported where the verdict is `unknown`: those that gained, and may by
chance."""
MEASURED_FROM = 0.05
"""Nats from which a counted cause is reported."""
FLOOR_GAP, FLOOR_NGRAM_REDUCTION = 0.05, 0.02
"""Nats above the best that counting reaches, and that longer counted contexts bring, under which
a run that nothing improves is at the floor of its text; first guesses."""
TELLING = 0.02
"""Nats that a token tells of one further on, under which a text is mostly chance. Origin: 0.007 at
most on the noisy texts of the benchmark's development half, 0.065 and more on the others."""
MOSTLY_RANDOM_FRACTION = 0.9
"""Of the loss of token frequencies alone: a run at its floor above it stands there since the text
is mostly chance; below it has learned what there was, and is healthy. Origin: 0.99 on noise, 0.57
to 0.77 on the other made-up texts of the benchmark's development half."""


@dataclass(frozen=True)
class Verdict:
    """A verdict and all that led to it."""

    verdict: str
    probability: float
    findings: list[Finding]
    ruled_out: list[OtherCause]
    best_effect: TreatmentEffect | None
    """The best claimed gain that a setting brings: what a trial series on top starts from."""
    finalists: tuple[TreatmentEffect, ...] = ()
    """The gains that would speak against a run being healthy if they were no chance, first those of
    which more seeds would tell most for their cost."""
    best: Mapping[str, TreatmentEffect] = field(default_factory=dict)
    """By cause, the gain that its trial tells."""


def decide_verdict(
    ranked_causes: Sequence[RankedCause],
    measurements: Measurements,
    effects: Sequence[TreatmentEffect],
    prescriptions: Mapping[str, dict[str, Any]],
    run_fraction: float,
) -> Verdict:
    """Return the verdict over all causes; `prescriptions` by cause for the best treatment of
    each."""
    best = best_effect_per_cause(effects)
    chances = probability_best(list(best.values()))
    measured = _measured_causes(ranked_causes, measurements)
    names = {cause.name for cause in measured}
    if is_mostly_copied(measurements):
        return _without_trials(ranked_causes, measurements, measured, best.keys())
    is_spoiled = any(cause.invalidates_evaluation for cause in measured)
    claims = [] if is_spoiled else _claims(best, chances, names)
    if is_noise := _is_noise(measurements, names, [g for g, _ in claims]):
        claims = []
    winner = next((g for g, _ in claims if not g.treatment.change.is_ablation), None)
    causes = [make_finding(cause, measurements, MEASURED, {}, None) for cause in measured]
    for effect, probability in claims:
        if probability < MIN_LISTED_PROBABILITY:
            continue
        # Makeshifts for want of text give way to a setting that gains of itself.
        gives_way = winner is not None and effect.treatment.change.is_ablation
        cause = _cause(ranked_causes, effect.treatment.cause)
        recommended = {} if gives_way else prescriptions.get(cause.name, {})
        trial = to_paired_trial(effect, run_fraction)
        causes.append(make_finding(cause, measurements, probability, recommended, trial))
    verdict, probability = (
        ("noise_floor", MEASURED) if is_noise
        else _verdict(causes, best, chances, measurements)
    )  # fmt: skip
    if verdict == "healthy" and any(g.may_gain_from_unread_text for g in best.values()):
        verdict, probability = "unknown", 1.0 - UNTESTED_PROBABILITY
    large = [g for g in best.values() if g.full_length_reduction >= g.min_effect]
    if verdict == "noise_floor":
        cause = _cause(ranked_causes, "noise_floor")
        causes = [make_finding(cause, measurements, probability, {}, None)]
    elif verdict == "unknown":
        possible = [g for g in best.values() if g in large or g.low > 0]
        causes = _perhaps(ranked_causes, measurements, possible, chances, run_fraction)
    named = {f.cause for f in causes}
    trials = {cause: to_paired_trial(effect, run_fraction) for cause, effect in best.items()}
    out = [
        OtherCause(
            cause=s.cause.name,
            reason=explain_other_cause(
                s, measurements, best.get(s.cause.name), bool(effects), winner
            ),
            trial=trials.get(s.cause.name),
        )
        for s in ranked_causes
        if s.cause.name not in named
    ]
    return Verdict(verdict, probability, causes, out, winner, _contenders(large, chances), best)


def _without_trials(
    ranked_causes: Sequence[RankedCause],
    measurements: Measurements,
    measured: Sequence[Cause],
    tested: Set[str],
) -> Verdict:
    """Return the verdict by what was counted, where validation text that was trained on judged the
    trials of the causes `tested`."""
    names = {cause.name for cause in measured}
    out = [
        OtherCause(cause=s.cause.name, reason=TRIAL_ON_COPIES, is_untested=True)
        if s.cause.name in tested
        else OtherCause(
            cause=s.cause.name, reason=explain_other_cause(s, measurements, None, False)
        )
        for s in ranked_causes
        if s.cause.name not in names
    ]
    causes = [make_finding(cause, measurements, MEASURED, {}, None) for cause in measured]
    return Verdict(measured[0].name, MEASURED, causes, out, None)


def _measured_causes(
    ranked_causes: Sequence[RankedCause], measurements: Measurements
) -> list[Cause]:
    """Return the causes that were counted and do harm (nats), the worst first. What spoils the
    evaluation comes before what the text is."""
    harms = [(s.cause.measured_harm_nats(measurements), s.cause) for s in ranked_causes]
    harms.sort(key=lambda x: (x[1].name == "noise_floor", -x[0]))
    return [cause for harm, cause in harms if harm >= MEASURED_FROM]


def _is_noise(
    measurements: Measurements, measured_causes: Set[str], claims: Sequence[TreatmentEffect]
) -> bool:
    """Return whether the text is counted as noise, and no other cause than its vocabulary is
    proved.

    Of noise nothing is to be learned but its words: a vocabulary that holds them whole, or that has
    fewer to learn, only brings the floor within reach sooner.
    """
    if measured_causes - {"noise_floor"}:
        return False
    if "noise_floor" in measured_causes:
        return True
    causes = {effect.treatment.cause for effect in claims}
    return is_chance(measurements) and bool(causes) and causes <= VOCABULARY_CAUSES


VOCABULARY_CAUSES = frozenset({"vocabulary_too_large", "vocabulary_too_small"})


def _claims(
    best: Mapping[str, TreatmentEffect], chances: Mapping[str, float], measured_causes: Set[str]
) -> list[tuple[TreatmentEffect, float]]:
    """Return the gains that may be claimed of causes that are not `measured_causes`, each with the
    probability of being the best, the largest first.

    Where text is what is short, which no setting brings, that comes first, and the probabilities of
    the others are among settings: until there is more, one of them helps.
    """
    claimed = [g for c, g in best.items() if g.is_significant and c not in measured_causes]
    claimed.sort(key=lambda g: -g.cost_adjusted_reduction)
    first = [g for g in claimed[:1] if g.treatment.change.is_ablation]
    if not first and not measured_causes & best.keys():
        return [(g, chances[g.treatment.cause]) for g in claimed]
    config_effects = [
        g
        for c, g in best.items()
        if not g.treatment.change.is_ablation and c not in measured_causes
    ]
    among = {**chances, **probability_best(config_effects)}
    return [(g, (chances if g in first else among)[g.treatment.cause]) for g in claimed]


def _contenders(
    large: Sequence[TreatmentEffect], chances: Mapping[str, float]
) -> tuple[TreatmentEffect, ...]:
    cost_ordered_effects = sorted(
        large, key=lambda g: -chances[g.treatment.cause] * g.std_error / g.cost_factor
    )
    return tuple(
        g for g in cost_ordered_effects if g.full_length_reduction >= g.min_effect_against_healthy
    )


def _perhaps(
    ranked_causes: Sequence[RankedCause],
    measurements: Measurements,
    possible: Sequence[TreatmentEffect],
    chances: Mapping[str, float],
    run_fraction: float,
) -> list[Finding]:
    """Return what may be wrong where nothing is proved; nothing is recommended on that ground."""
    likely = sorted(possible, key=lambda g: -chances[g.treatment.cause])[:MAX_UNCERTAIN_CAUSES]
    likely = [g for g in likely if chances[g.treatment.cause] >= MIN_LISTED_PROBABILITY]
    return [
        make_finding(
            _cause(ranked_causes, g.treatment.cause), measurements, chances[g.treatment.cause], {},
            to_paired_trial(g, run_fraction),
        )
        for g in likely
    ]  # fmt: skip


def decide_without_trials(
    ranked_causes: Sequence[RankedCause], measurements: Measurements
) -> Verdict:
    """Return a verdict from the signals alone, where nothing could or should be tried."""
    if is_mostly_copied(measurements):
        measured_causes = _measured_causes(ranked_causes, measurements)
        return _without_trials(ranked_causes, measurements, measured_causes, set())
    open_to = [s for s in ranked_causes if s.exclusion_reason is None]
    measured = {s.cause.name: s.cause.measured_harm_nats(measurements) for s in open_to}
    scores = [
        s.log_odds + (MEASURED_SCORE if measured[s.cause.name] >= MEASURED_FROM else 0.0)
        for s in open_to
    ]
    *chances, healthy = softmax_probabilities(scores, HEALTHY_SCORE)
    ranked = sorted(zip(chances, open_to, strict=True), key=lambda x: -x[0])
    likely = [
        (p, s)
        for p, s in ranked
        # Without a trial, a cause is named on a measurement that is out of the usual, or on none.
        if p > max(healthy, 0.1)
        and (measured[s.cause.name] or supporting_evidence(s.cause, measurements))
    ][:3]
    causes = [make_finding(s.cause, measurements, p, {}, None) for p, s in likely]
    top = ranked[0][0] if ranked else 0.0
    if healthy >= max(top, MIN_UNPROVED):
        verdict, probability = "healthy", healthy
    elif causes and causes[0].cause == ranked[0][1].cause.name and top >= MIN_UNPROVED:
        verdict, probability = causes[0].cause, top
    else:
        verdict, probability = "unknown", 1.0 - max(top, healthy)
    named = {f.cause for f in causes}
    out = [
        OtherCause(cause=s.cause.name, reason=explain_other_cause(s, measurements, None, False))
        for s in ranked_causes
        if s.cause.name not in named
    ]
    return Verdict(verdict, probability, causes, out, None)


def _verdict(
    causes: Sequence[Finding],
    best: Mapping[str, TreatmentEffect],
    chances: Mapping[str, float],
    measurements: Measurements,
) -> tuple[str, float]:
    healthy = chances["healthy"]
    if causes and causes[0].trial and causes[0].probability < healthy:
        return "unknown", 1.0 - healthy
    if causes:
        return causes[0].cause, causes[0].probability
    if not best:
        return "unknown", 0.5
    if healthy < MIN_PROBABILITY:
        return "unknown", 1.0 - healthy
    ngram_reduction, gap = (
        measurements.get("fourgram_loss_reduction"),
        measurements.get("gap_to_ngram_nats"),
    )
    if gap and gap.value > WORSE_THAN_COUNTING:
        return "unknown", 1.0 - UNTESTED_PROBABILITY
    if is_chance(measurements) and gap and abs(gap.value) < FLOOR_GAP:
        return "noise_floor", healthy
    at_floor = (
        ngram_reduction
        and gap
        and ngram_reduction.value < FLOOR_NGRAM_REDUCTION
        and abs(gap.value) < FLOOR_GAP
    )
    validation_loss, unigram = (
        measurement_value(measurements, "measured_validation_loss"),
        measurement_value(measurements, "unigram_loss"),
    )
    if validation_loss < MOSTLY_RANDOM_FRACTION * unigram:
        return "healthy", healthy
    if measurement_value(measurements, "token_mutual_information_nats") > TELLING:
        # It knows little but frequencies, and there is more: what would teach it was not tried.
        return "unknown", 1.0 - UNTESTED_PROBABILITY
    return ("noise_floor" if at_floor else "healthy"), healthy


def _cause(ranked_causes: Sequence[RankedCause], name: str) -> Cause:
    return next(s.cause for s in ranked_causes if s.cause.name == name)
