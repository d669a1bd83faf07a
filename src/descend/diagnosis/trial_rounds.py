"""The rounds of a trial series: which treatments run, which are followed up, with which seeds.

All run once. Where a treatment helped, the next stronger one runs. The best few and the control
then run with two more seeds, in pairs; of a run examined, those whose effect lasts to its full
length (`full_length_trials`). Rounds end when the time allowed is spent.
"""

from __future__ import annotations

from collections.abc import Sequence

from descend.diagnosis.cause import TreatmentChange
from descend.diagnosis.effects import estimate_effects
from descend.diagnosis.treatments import Treatment, min_effect_nats
from descend.diagnosis.trial_length import fits_in_budget, num_parallel_trials, seconds_for
from descend.diagnosis.trial_series import (
    FINALISTS,
    OF_THE_CURVE,
    SEEDS,
    TrialSeries,
    follow_up_threshold,
    full_length_treatment,
    is_too_short,
    paired_reductions,
    run_series_trials,
    trial_loss,
)

FIRST_SERIES_FRACTION = 0.65
"""Fraction of the time allowed for the first trial series; the rest is for a second fault."""
CLOSE = 0.5
"""Fraction of the best gain that a treatment must have shown to run with more seeds: what gained
not half as much will not be the best after all."""
POSSIBLE = 0.7
"""Of what a gain must reach to count, that one seed must have shown to run with more."""
HALF_STEPS = Treatment(OF_THE_CURVE, TreatmentChange("half the steps", {}, steps=0.5))


def run_trial_series(
    series: TrialSeries, treatment_sequences: Sequence[Sequence[Treatment]], stage: str
) -> None:
    """Test the `treatment_sequences`, most probable first, until all is known or time is
    spent."""
    run_one_seed(series, treatment_sequences, stage)
    run_more_seeds(series, treatment_sequences, stage)


def run_one_seed(
    series: TrialSeries, treatment_sequences: Sequence[Sequence[Treatment]], stage: str
) -> None:
    """Run the first of each of `treatment_sequences`, and the stronger ones of those that helped,
    with the seed of the run."""
    first = [
        None,
        *(sequence[0] for sequence in treatment_sequences),
        *([HALF_STEPS] if _draws_curve(series) else []),
    ]
    run_series_trials(series, [(treatment, series.seed) for treatment in first], stage)
    climbing = list(treatment_sequences)
    for level in range(1, max((len(sequence) for sequence in treatment_sequences), default=0)):
        climbing = [
            x
            for x in climbing
            if len(x) > level
            and not is_too_short(series, x[level].change)
            and _improves_at_level(series, x, level)
        ]
        climbing.sort(key=lambda x: -paired_reductions(series, x[level - 1])[0])
        climbing = climbing[: _count_affordable(series, [x[level] for x in climbing[:FINALISTS]])]
        if not climbing:
            break
        run_series_trials(series, [(x[level], series.seed) for x in climbing], f"{stage}: stronger")


def run_more_seeds(
    series: TrialSeries, treatment_sequences: Sequence[Sequence[Treatment]], stage: str
) -> None:
    """Run the best few of `treatment_sequences` and the control with two more seeds, in pairs."""
    finalists = _finalists(series, treatment_sequences)
    for seed in series.seeds[1:SEEDS]:
        if not finalists or not fits_in_budget(series, [None, *finalists]):
            break
        run_series_trials(
            series,
            [(None, seed), *((treatment, seed) for treatment in finalists)],
            f"{stage}: more seeds",
        )
    at_full_length = [(full_length_treatment(series, x), series.seed) for x in finalists]
    missing_pairs = [pair for pair in at_full_length if pair not in series.results]
    twice = _twice_the_run(series)
    if missing_pairs and _draws_curve(series) and fits_in_budget(series, [twice]):
        run_series_trials(series, [(twice, series.seed)], f"{stage}: twice the run")


def _draws_curve(series: TrialSeries) -> bool:
    """Return whether effects are extrapolated by the curve of the control."""
    return not series.is_full_length and series.known_curve is None


def _twice_the_run(series: TrialSeries) -> Treatment:
    """Return the treatment of twice the steps: it tells what more steps are worth at the end of the
    run, where another treatment seems to be worth some."""
    longer = TreatmentChange(
        "twice the run",
        {"epoch": 2 * (series.base.epoch or 1)},
        steps=2 / series.run_fraction,
    )
    return Treatment(OF_THE_CURVE, longer)


def _finalists(
    series: TrialSeries, treatment_sequences: Sequence[Sequence[Treatment]]
) -> list[Treatment]:
    """Return the treatments that run with more seeds: those that may turn out to count, the best
    first."""
    control = trial_loss(series, None, series.seed) or 0.0
    promise = {
        treatment: paired_reductions(series, treatment)[0]
        * treatment.change.inverse_effect_fraction
        for sequence in treatment_sequences
        if (treatment := best_treatment(series, sequence))
        and treatment not in series.fading_treatments
    }
    candidates = [x for x in promise if promise[x] > POSSIBLE * min_effect_nats(x, control)]
    candidates.sort(key=lambda treatment: -promise[treatment])
    best = promise[candidates[0]] if candidates else 0.0
    return [treatment for treatment in candidates if promise[treatment] >= CLOSE * best][:FINALISTS]


def _count_affordable(series: TrialSeries, treatments: Sequence[Treatment]) -> int:
    """Return how many of `treatments`, the best first, fit in the time that is left.

    Where nothing is proved yet, time stays for more seeds of the best few: what gained once only
    proves little, however strong the treatment. What is proved by one seed is made stronger first.
    """
    num_parallel = num_parallel_trials(series.base)
    is_proved = any(effect.is_significant for effect in estimate_effects(series, None))
    control = series.results[None, series.seed].seconds
    again = 0.0 if is_proved else (SEEDS - 1) * control / num_parallel
    seconds, usual = (FINALISTS + 1) * again, max(seconds_for(series, [None]), 1e-9)
    count = 0
    for treatment in treatments:
        own = seconds_for(series, [treatment])
        seconds += own + again * max(0.0, own / usual - 1)  # a longer one takes longer each time
        if not series.budget.allows(seconds):
            break
        count += 1
    return count


def _improves_at_level(series: TrialSeries, sequence: Sequence[Treatment], level: int) -> bool:
    """Return whether the treatment below `level` was worth no less than those below it, and more
    than none."""
    reductions = [
        g[0] * treatment.cost_weight
        for treatment in sequence[:level]
        if (g := paired_reductions(series, treatment))
    ]
    return (
        len(reductions) == level
        and reductions[-1] > follow_up_threshold(series)
        and reductions[-1] >= max(reductions)
    )


def best_treatment(series: TrialSeries, sequence: Sequence[Treatment]) -> Treatment | None:
    """Return the treatment of a sequence whose gain on the run's own seed is worth most."""
    ran = [treatment for treatment in sequence if paired_reductions(series, treatment)]
    return (
        max(
            ran,
            key=lambda treatment: paired_reductions(series, treatment)[0] * treatment.cost_weight,
        )
        if ran
        else None
    )
