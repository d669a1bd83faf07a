"""A run that diverged, rolled back or not: what comes past the bad step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from descend.diagnosis.diagnosis_result import (
    LOSS_METRIC,
    Evidence,
    Finding,
    OtherCause,
    PairedTrial,
)
from descend.diagnosis.ranking import RankedCause, supporting_evidence
from descend.diagnosis.run_context import RunContext
from descend.diagnosis.sentences import (
    NOTHING_PREVENTS_DIVERGENCE,
    describe_bad_step,
    describe_last_rollback,
    describe_stop,
    describe_unexamined_cause,
    describe_untested_changes,
    describe_vanished_divergence,
)
from descend.diagnosis.treatments import Treatment, control_config, recommended_changes
from descend.diagnosis.trial_budget import TrialBudget
from descend.diagnosis.trial_length import fits_in_budget, num_parallel_trials, seconds_for
from descend.diagnosis.trial_series import TrialSeries, best_validation_point, run_series_trials
from descend.diagnosis.verdict import Verdict
from descend.metrics.measurement import Measurements
from descend.progress import ProgressCallback
from descend.training.explosion import loss_of_explosion
from descend.trials.trial_spec import TrialResult
from descend.units import format_duration

LENGTH_PAST_FAILURE = 2.0
"""A treatment must reach twice the step at which the run diverged (diagnosis notes, 3b)."""
MIN_STEPS = 100
WHOLE_RUNS = 0.5
"""Fraction of the time allowed for which all changes are tried in runs of full length: which of
them learns best shows there."""
LOSS_TOLERANCE_NATS = 0.02
"""Of the loss, that a milder treatment may end higher than the best and still be preferred."""


@dataclass(frozen=True)
class DivergenceTrials:
    """What came of trying to get past the bad step."""

    trial: PairedTrial | None = None
    """Of the mildest change that came past it; None where none did, or nothing was tried."""
    treatment: Treatment | None = None
    """That change."""
    again: bool = True
    """Whether the run would run away again, as far as was tried."""
    warnings: tuple[str, ...] = ()


def diagnose_divergence(
    recorded_run: RunContext,
    ranked_causes: Sequence[RankedCause],
    measurements: Measurements,
    budget: TrialBudget,
    on_progress: ProgressCallback,
) -> tuple[Verdict, list[str], DivergenceTrials]:
    """Return `diverged`, where it began, and the mildest change that comes past it; what to say of
    it.

    `budget`: for trials, of which the first are made whatever they take.
    """
    ranked_cause = next(s for s in ranked_causes if s.cause.name == "diverged")
    warnings = []
    if recorded_run.diverged:
        warnings = [describe_stop(len(recorded_run.steps), len(recorded_run.rollbacks))]
    past = (
        _try(recorded_run, ranked_cause, measurements, budget, on_progress)
        if budget.total > 0
        else DivergenceTrials()
    )
    finding = Finding(
        cause="diverged",
        probability=0.99,
        evidence=[
            _first_bad(recorded_run),
            *_rollback_evidence(recorded_run),
            *supporting_evidence(ranked_cause.cause, measurements),
        ],
        recommended_config=(
            recommended_changes(recorded_run, control_config(recorded_run), past.treatment.change)
            if past.treatment
            else {}
        ),
        advice=ranked_cause.cause.advice,
        trial=past.trial,
    )
    unexamined = describe_unexamined_cause(rolled_back=bool(recorded_run.rollbacks))
    out = [
        OtherCause(cause=s.cause.name, reason=unexamined, is_untested=True)
        for s in ranked_causes
        if s.cause.name != "diverged"
    ]
    return Verdict("diverged", 0.99, [finding], out, None), [*warnings, *past.warnings], past


def _first_bad(recorded_run: RunContext) -> Evidence:
    """Return the first step that was not as it should be, and what was found there."""
    vocab_size, problem = None, ""
    if recorded_run.rollbacks:
        step, problem = recorded_run.rollbacks[0].failed_step, recorded_run.rollbacks[0].problem
    elif recorded_run.first_exploded_step is not None:
        step, vocab_size = recorded_run.first_exploded_step, recorded_run.shape.vocab_size
    else:
        step = 1 + (recorded_run.stopped.step if recorded_run.stopped else len(recorded_run.steps))
        problem = recorded_run.stopped.problem if recorded_run.stopped else ""
    text = describe_bad_step(problem, vocab_size)
    return Evidence("first_bad_step", float(step), "of the run", (None, None), text)


def _rollback_evidence(recorded_run: RunContext) -> list[Evidence]:
    """Return how often the run was rolled back, and what it took in the end."""
    if not recorded_run.rollbacks:
        return []
    why = describe_last_rollback(recorded_run.rollbacks[-1])
    return [Evidence("rollbacks", float(len(recorded_run.rollbacks)), "times", (None, 0.0), why)]


def _has_diverged(result: TrialResult) -> bool:
    """Return whether a trial did: to numbers that are not finite, or far above guessing."""
    far = loss_of_explosion(result.vocab_size)
    return result.diverged_step is not None or result.validation_loss > far


def _try(
    recorded_run: RunContext,
    ranked_cause: RankedCause,
    measurements: Measurements,
    budget: TrialBudget,
    on_progress: ProgressCallback,
) -> DivergenceTrials:
    """Return the mildest change that comes past the bad step, by trial."""
    treatments = [
        Treatment("diverged", change)
        for change in ranked_cause.cause.treatments(recorded_run.config, measurements)
    ]
    series = _run_trials(recorded_run, treatments, budget, on_progress)
    again = _has_diverged(series.results[None, series.seed])
    warnings = _describe_trials(series, treatments, again)
    came_past = [
        (treatment, result)
        for treatment in treatments
        if (result := series.results.get((treatment, series.seed))) and not _has_diverged(result)
    ]
    if not came_past:
        return DivergenceTrials(again=again, warnings=(*warnings, NOTHING_PREVENTS_DIVERGENCE))
    best = min(best_validation_point(o)[0] for _, o in came_past)
    treatment, result = next(
        (x, o)
        for x, o in came_past
        if best_validation_point(o)[0] <= best * (1 + LOSS_TOLERANCE_NATS)
    )
    trial = _paired_trial(series, treatment, result)
    return DivergenceTrials(trial, treatment, again, tuple(warnings))


def _run_trials(
    recorded_run: RunContext,
    treatments: Sequence[Treatment],
    budget: TrialBudget,
    on_progress: ProgressCallback,
) -> TrialSeries:
    """Run the control and the treatments, the mildest first, while there is time."""
    base, step = control_config(recorded_run), round(_first_bad(recorded_run).value) - 1
    series = TrialSeries(
        recorded_run,
        base,
        max(recorded_run.total_steps, 1),
        budget,
        on_progress,
    )
    if seconds_for(series, [None, *treatments]) > WHOLE_RUNS * budget.total:
        series.steps = min(series.steps, max(round(LENGTH_PAST_FAILURE * step), MIN_STEPS))
    # As many at once as there are cores; the rest while there is time.
    together = max(2, num_parallel_trials(base))
    candidates: list[Treatment | None] = [None, *treatments]
    seconds = seconds_for(series, candidates[:together])
    on_progress(
        f"testing up to {len(treatments)} changes, the first for about {format_duration(seconds)}",
        0.0,
    )
    for index in range(0, len(candidates), together):
        some = candidates[index : index + together]
        if index and not fits_in_budget(series, some):
            break
        run_series_trials(series, [(treatment, series.seed) for treatment in some], "testing")
    return series


def _describe_trials(
    series: TrialSeries, treatments: Sequence[Treatment], again: bool
) -> list[str]:
    """Say what was not tried, and whether the run diverged again."""
    warnings = []
    num_untested = sum(
        (x, series.seed) not in series.results and x not in series.invalid_treatments
        for x in treatments
    )
    if num_untested:
        warnings.append(describe_untested_changes(num_untested, len(treatments)))
    if not again:
        warnings.append(describe_vanished_divergence(series.steps))
    return warnings


def _paired_trial(series: TrialSeries, treatment: Treatment, result: TrialResult) -> PairedTrial:
    """Return the trial of the change that came past the bad step."""
    control = series.results[None, series.seed]
    control_loss, treatment_loss = (best_validation_point(x)[0] for x in (control, result))
    return PairedTrial(
        metric=LOSS_METRIC,
        change=treatment.change.label,
        control_loss=control_loss,
        treatment_loss=treatment_loss,
        loss_reduction=control_loss - treatment_loss,
        ci95=None,
        p_holm=1.0,
        seeds=1,
        tokens=result.tokens,
        run_fraction=series.steps / max(series.recorded_run.total_steps, 1),
        seconds=series.seconds,
        cost_factor=result.seconds / max(control.seconds, 1e-9),
    )
