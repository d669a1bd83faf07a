"""The best treatments once more, at the full length of the run: does their effect last?

A short trial shows which change learns faster at first. On 172 kB of text 2,048 tokens instead of
512 gained 0.45 nats in a tenth of the run and nothing in all of it. The run itself is the control,
so each treatment costs one run.
"""

from __future__ import annotations

from descend.diagnosis.treatments import Treatment
from descend.diagnosis.trial_length import fits_in_budget, num_parallel_trials
from descend.diagnosis.trial_series import (
    TrialSeries,
    full_length_treatment,
    run_series_trials,
    trial_loss,
)
from descend.diagnosis.verdict import Verdict


def run_full_length_trials(series: TrialSeries, verdict: Verdict, own_loss: float | None) -> bool:
    """Run the best treatments at full length, as many as run side by side and fit in the time that
    is left; return whether any ran. Where none is significant, those that may be chance.

    `own_loss`: of the run itself, as in `estimate_effects`.
    """
    if own_loss is None or series.is_full_length or not series.recorded_run.finished:
        return False
    claimed = sorted(
        (g for g in verdict.best.values() if g.is_significant),
        key=lambda g: -g.cost_adjusted_reduction,
    )
    effects = [g for g in claimed or verdict.finalists if not g.treatment.change.is_ablation]
    treatments = [full_length_treatment(series, g.treatment) for g in effects[:1]]
    for effect in effects[1 : num_parallel_trials(series.base)]:
        another = full_length_treatment(series, effect.treatment)
        treatments += [another] if fits_in_budget(series, [*treatments, another]) else []
    new = [x for x in treatments if (x, series.seed) not in series.results]
    new = [x for x in new if x not in series.invalid_treatments]
    if not new or treatments[0] not in new or not fits_in_budget(series, new):
        return False
    run_series_trials(series, [(x, series.seed) for x in new], "testing at full length")
    for treatment in new:
        _report_full_length(series, treatment, own_loss)
    return True


def _report_full_length(series: TrialSeries, treatment: Treatment, own_loss: float) -> None:
    loss = trial_loss(series, treatment, series.seed)
    if loss is None:
        return
    change = f"{abs(own_loss - loss):.2f} nats {'lower' if loss < own_loss else 'higher'}"
    series.progress(f"  {treatment.change.label}: validation loss {change}", 1.0)
