"""The best treatments once more, at the full length of the run: does their effect last?

A short trial shows which change learns faster at first. On 172 kB of text 2,048 tokens instead of
512 gained 0.45 nats in a tenth of the run and nothing in all of it. The run itself is the control,
so each treatment costs one run.
"""

from __future__ import annotations

from collections.abc import Sequence

from descend.config import RunConfig
from descend.diagnosis.effects import TreatmentEffect
from descend.diagnosis.run_context import RunContext
from descend.diagnosis.treatments import Treatment, min_effect_nats
from descend.diagnosis.trial_budget import TRIAL_START_SECONDS, side_by_side_seconds
from descend.diagnosis.trial_length import num_parallel_trials
from descend.diagnosis.trial_rounds import CLOSE, FIRST_SERIES_FRACTION
from descend.diagnosis.trial_series import (
    TrialSeries,
    full_length_treatment,
    run_series_trials,
    trial_loss,
)
from descend.diagnosis.verdict import Verdict
from descend.trials.paired_stats import ALPHA


def first_series_fraction(recorded_run: RunContext, base: RunConfig, seconds: float) -> float:
    """Return the fraction of `seconds` for the first trial series: less where the best two changes
    can then run at full length."""
    threads = recorded_run.execution.threads if recorded_run.execution.device == "cpu" else 1
    run_seconds = recorded_run.estimated_total_seconds * max(threads, 1)
    rest = seconds - 2 * run_seconds / num_parallel_trials(base)
    if rest < MIN_SERIES_FRACTION * seconds:
        return FIRST_SERIES_FRACTION
    return min(FIRST_SERIES_FRACTION, rest / seconds)


MIN_SERIES_FRACTION = 0.35
"""Of the time allowed, that the first trial series needs at least: trials of many changes become
too short to tell anything below it. First guess."""


def run_full_length_trials(series: TrialSeries, verdict: Verdict, own_loss: float | None) -> bool:
    """Run the best treatments at full length, as many as run side by side and fit in the time that
    is left; return whether any ran. Where none is significant, those that may be chance, or else
    those that lead for certain in their short trial and are expected to fade.

    `own_loss`: of the run itself, as in `estimate_effects`.
    """
    if own_loss is None or series.is_full_length or not series.recorded_run.finished:
        return False
    claimed = sorted(
        (g for g in verdict.best.values() if g.is_significant),
        key=lambda g: -g.cost_adjusted_reduction,
    )
    effects = [
        g for g in claimed or verdict.finalists or _leading_effects(verdict)
        if not g.treatment.change.is_ablation
    ]  # fmt: skip
    if not effects or _has_run(series, effects[0].treatment):
        return False
    close = [
        g for g in effects
        if g.cost_adjusted_reduction >= CLOSE * effects[0].cost_adjusted_reduction
        and not _has_run(series, g.treatment)
    ]  # fmt: skip
    affordable: list[Treatment] = []
    for effect in close:
        if series.budget.allows(_seconds(series, [*affordable, effect.treatment])):
            affordable.append(effect.treatment)
    if effects[0].treatment not in affordable:
        return False
    new = [full_length_treatment(series, treatment) for treatment in affordable]
    run_series_trials(series, [(x, series.seed) for x in new], "testing at full length")
    for treatment in affordable:
        _read_full_length(series, treatment, own_loss)
    return True


def _leading_effects(verdict: Verdict) -> list[TreatmentEffect]:
    """Return the effects that are no chance in their short trials, the largest first.

    A run that has leveled off is expected to make up for each lead by more steps. It does not where
    a setting keeps it from going lower: of a weight decay of 10, 0.17 nats are 0.02 by that curve.
    """
    leading = [g for g in verdict.best.values() if g.low > 0 and g.p_holm < ALPHA]
    return sorted(leading, key=lambda g: -g.mean_reduction)


def _has_run(series: TrialSeries, short: Treatment) -> bool:
    """Return whether a treatment ran at full length, or could not."""
    treatment = full_length_treatment(series, short)
    return (treatment, series.seed) in series.results or treatment in series.invalid_treatments


def _seconds(series: TrialSeries, treatments: Sequence[Treatment]) -> float:
    """Return what `treatments` will take at full length, by what their short trials took."""
    each = [
        TRIAL_START_SECONDS + series.results[x, series.seed].seconds / series.run_fraction
        for x in treatments
    ]
    return side_by_side_seconds(each, num_parallel_trials(series.base))


def _read_full_length(series: TrialSeries, short: Treatment, own_loss: float) -> None:
    """Report what a treatment gained at full length, and note it if that is not worth a word."""
    treatment = full_length_treatment(series, short)
    loss = trial_loss(series, treatment, series.seed)
    if loss is None:
        return
    if own_loss - loss < min_effect_nats(short, own_loss):
        series.fading_treatments.add(short)
    change = f"{abs(own_loss - loss):.2f} nats {'lower' if loss < own_loss else 'higher'}"
    series.progress(f"  {treatment.change.label}: validation loss {change}", 1.0)
