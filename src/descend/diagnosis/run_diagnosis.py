"""A run examined from beginning to end: signals, ranked causes, trial series, verdict."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import msgspec

from descend.config_errors import closest_match
from descend.config_sources import with_changes
from descend.diagnosis.causes import CAUSES
from descend.diagnosis.combinations import (
    best_additional_finding,
    find_additional_causes,
    merge_findings,
)
from descend.diagnosis.diagnosis_result import (
    BROKE_OFF,
    DEFAULT_BUDGET,
    MAX_BUDGET,
    PROGRAM_BUGS,
    Cost,
    Diagnosis,
    Finding,
    OtherCause,
    has_trials,
    trial_budget_seconds,
)
from descend.diagnosis.diverged_run import diagnose_divergence
from descend.diagnosis.full_length_trials import first_series_fraction, run_full_length_trials
from descend.diagnosis.limitations import (
    add_untested_causes,
    describe_lower_parent,
    describe_normal_run,
    describe_unexplained_gap,
    describe_unread_part,
    no_trials_reason,
)
from descend.diagnosis.measure import measure_run, run_validation_loss
from descend.diagnosis.memorization_check import MAX_TIME_FRACTION, check_memorization
from descend.diagnosis.ranking import RankedCause, evidence_of, rank_causes
from descend.diagnosis.recommended_config import load_diagnosis
from descend.diagnosis.run_context import RunContext, load_run_context
from descend.diagnosis.sentences import (
    BUSY_WARNING,
    COMBINATIONS_UNTESTED,
    EARLIER_DIAGNOSIS_WARNING,
    NO_TRIALS_ON_COPIES,
    NOT_SIGNIFICANT,
    describe_trials,
)
from descend.diagnosis.series_evaluation import (
    add_seeds_until_decided,
    evaluate_series,
    limit_to_budget,
    treatment_sequences,
)
from descend.diagnosis.treatments import (
    Treatment,
    control_config,
    count_evaluation_tokens,
)
from descend.diagnosis.trial_budget import TrialBudget, start_budget
from descend.diagnosis.trial_length import (
    choose_trial_length,
    first_round_seconds,
    num_parallel_trials,
)
from descend.diagnosis.trial_rounds import (
    FIRST_SERIES_FRACTION,
    run_more_seeds,
    run_one_seed,
    run_trial_series,
)
from descend.diagnosis.trial_series import TrialSeries, are_cached, drop_too_short, make_series_spec
from descend.diagnosis.verdict import Verdict, decide_without_trials
from descend.errors import ConfigError, RunFolderError
from descend.machine import contention_factor
from descend.metrics.measurement import Measurements
from descend.progress import ProgressCallback, ignore_progress
from descend.runs.run_files import write_diagnosis
from descend.training.process_settings import limit_threads_to_idle_cores
from descend.trials.worker_pool import share_workers
from descend.units import format_duration

MAX_FULL_LENGTH_ROUNDS = 3
"""Times that the best changes run at full length: where one does not last, the next follows."""
MAX_CANDIDATES = 9
"""Causes tested at first; each more makes all trials shorter."""


def diagnose_run(
    folder: Path,
    *,
    budget: float = DEFAULT_BUDGET,
    min_seconds: float | None = None,
    proof: bool = True,
    on_progress: ProgressCallback = ignore_progress,
) -> Diagnosis:
    """Return why the run in `folder` does not learn better; nothing is written.

    `budget` is the fraction of the run's own time that trials may take, but always `min_seconds`.
    Without `proof` the metrics alone are read. Raises `RunFolderError` where there is no run.
    """
    if not 0 <= budget <= MAX_BUDGET:
        raise ConfigError(
            "--trial-budget", f"{budget:g}",
            f"a fraction of the training time, 0 to {MAX_BUDGET:g}",
            "use 0.15, or 1 for trials that take as long as the run",
        )  # fmt: skip
    began = time.monotonic()
    recorded_run = load_run_context(folder, on_progress)
    allowed = trial_budget_seconds(recorded_run.estimated_total_seconds, budget, min_seconds)
    with share_workers(_workers_to_start(recorded_run) if proof else 0):
        diagnosis = _diagnose(recorded_run, allowed, proof, on_progress)
    full = recorded_run.training_seconds
    seconds = time.monotonic() - began
    cost = Cost(round(seconds, 1), round(seconds / max(full, 1e-9), 3))
    return msgspec.structs.replace(diagnosis, cost=cost)


def _workers_to_start(recorded_run: RunContext) -> int:
    """Return processes that read torch in while the run is measured; 0 where no trial can be
    made."""
    if recorded_run.store is None:
        return 0
    return min(num_parallel_trials(control_config(recorded_run)), MAX_CANDIDATES)


def _diagnose(
    recorded_run: RunContext, allowed: float, proof: bool, on_progress: ProgressCallback
) -> Diagnosis:
    """Return the diagnosis of a run whose trials may take `allowed` seconds, without its cost."""
    on_progress("reading the run", 0.0)
    with limit_threads_to_idle_cores():
        measurements = measure_run(recorded_run)
    ranked_causes = rank_causes(CAUSES, recorded_run.config, measurements)
    warnings = list(recorded_run.warnings)
    reason = no_trials_reason(recorded_run, measurements, proof)
    if proof and recorded_run.store is not None:
        on_progress("checking memorization", 0.0)
        with limit_threads_to_idle_cores():
            learned, said = check_memorization(recorded_run, MAX_TIME_FRACTION * allowed)
        measurements, warnings = measurements | learned, warnings + said
    budget = start_budget(0.0 if reason else allowed)
    if recorded_run.had_divergence:
        verdict, said = _diagnose_diverged(
            recorded_run, ranked_causes, measurements, budget, on_progress
        )
        warnings += [reason] if reason else said
    elif reason is not None:
        verdict = decide_without_trials(ranked_causes, measurements)
        warnings.append(reason)
    else:
        verdict, said = _diagnose_by_trials(
            recorded_run, ranked_causes, measurements, budget, on_progress
        )
        warnings += said
    if budget.is_cut_by_clock:
        warnings.append(BUSY_WARNING)
    if recorded_run.finished:
        warnings += describe_lower_parent(recorded_run)
    if not recorded_run.had_divergence:
        warnings += describe_unread_part(verdict, measurements, recorded_run.folder)
        warnings += describe_unexplained_gap(verdict, measurements, recorded_run.folder)
    if verdict.verdict == "healthy":
        warnings += describe_normal_run(measurements, recorded_run.folder, reason)
    return Diagnosis(
        run=str(recorded_run.folder),
        verdict=verdict.verdict,
        probability=round(verdict.probability, 3),
        causes=verdict.findings,
        ruled_out=verdict.ruled_out,
        measurements=[evidence_of(r, "") for r in measurements.values()],
        warnings=warnings,
        cost=Cost(0.0, 0.0),
        untested_reason=reason,
    )


def save_diagnosis(diagnosis: Diagnosis) -> Diagnosis:
    """Write diagnosis.json into the run folder, unless `diagnosis` tried nothing and the one there
    did; then it is given back with a note that says so."""
    folder = Path(diagnosis.run)
    keeps_earlier = diagnosis.untested_reason != NO_TRIALS_ON_COPIES  # of the same copies
    if keeps_earlier and not has_trials(diagnosis) and _was_tried(folder):
        return msgspec.structs.replace(
            diagnosis, warnings=[*diagnosis.warnings, EARLIER_DIAGNOSIS_WARNING]
        )
    content = msgspec.json.format(msgspec.json.encode(diagnosis))
    write_diagnosis(folder, content)
    return diagnosis


def _was_tried(folder: Path) -> bool:
    """Return whether a diagnosis with trials stands in `folder`; one that is damaged counts for
    none."""
    try:
        return has_trials(load_diagnosis(folder))
    except RunFolderError:
        return False


def validate_cause_names(names: list[str]) -> set[str]:
    """Return `names` as a set; `ConfigError` for one that is no verdict."""
    known = [*(c.name for c in CAUSES), "healthy", "unknown", BROKE_OFF, *PROGRAM_BUGS]
    for name in names:
        if name not in known:
            guess = closest_match(name, known)
            raise ConfigError(
                "--fail-on", name, "one of " + ", ".join(known),
                f"did you mean {guess}" if guess else "choose one of those",
            )  # fmt: skip
    return set(names)


def _diagnose_diverged(
    recorded_run: RunContext,
    ranked_causes: list[RankedCause],
    measurements: Measurements,
    budget: TrialBudget,
    on_progress: ProgressCallback,
) -> tuple[Verdict, list[str]]:
    """Return the verdict on a run that diverged: that first; then what else is wrong with it,
    where it was rolled back, came to its end and does not run away again, or what more there is to
    gain with the change that comes past the bad step."""
    verdict, warnings, past = diagnose_divergence(
        recorded_run, ranked_causes, measurements, budget, on_progress
    )
    if budget.remaining_seconds() <= 0:
        return verdict, warnings
    budget.begin_rest()
    if past.again or not recorded_run.finished:
        if past.treatment is None:
            return verdict, warnings
        more = _combine_after_divergence(
            recorded_run, past.treatment, ranked_causes, measurements, budget, on_progress
        )
        return merge_findings(verdict, "diverged", more), warnings
    others, said = _diagnose_by_trials(
        recorded_run, ranked_causes, measurements, budget, on_progress
    )
    out = [r for r in others.ruled_out if r.cause != "diverged"]
    proved = others.findings
    if others.verdict == "unknown":
        out += [OtherCause(cause=f.cause, reason=NOT_SIGNIFICANT, trial=f.trial) for f in proved]
        proved = []
    return replace(verdict, findings=verdict.findings + proved, ruled_out=out), warnings + said


def _combine_after_divergence(
    recorded_run: RunContext,
    treatment: Treatment,
    ranked_causes: list[RankedCause],
    measurements: Measurements,
    budget: TrialBudget,
    on_progress: ProgressCallback,
) -> list[Finding]:
    """Return further treatments of a run that diverged, on top of the mildest change with which it
    does not: to stay finite is not yet to learn."""
    base = with_changes(control_config(recorded_run), treatment.change.keys)
    sequences = treatment_sequences(recorded_run, base, ranked_causes, measurements)
    steps, count = choose_trial_length(recorded_run, base, sequences[:MAX_CANDIDATES], budget.total)
    series = TrialSeries(recorded_run, base, steps, budget, on_progress)
    run_trial_series(series, drop_too_short(series, sequences)[:count], "testing combinations")
    best = best_additional_finding(series, ["diverged"], ranked_causes, measurements)
    if best is None:
        return []
    first, effect = best
    more = find_additional_causes(
        series, effect, ["diverged", first.cause], ranked_causes, measurements, None
    )
    return [first, *more.findings]


def _diagnose_by_trials(
    recorded_run: RunContext,
    ranked_causes: list[RankedCause],
    measurements: Measurements,
    budget: TrialBudget,
    on_progress: ProgressCallback,
) -> tuple[Verdict, list[str]]:
    """Return the verdict by trial, and what to say of the trials."""
    base = control_config(recorded_run)
    everyone = treatment_sequences(recorded_run, recorded_run.config, ranked_causes, measurements)
    first_seconds = budget.total * first_series_fraction(recorded_run, base, budget.total)
    steps, count = choose_trial_length(recorded_run, base, everyone[:MAX_CANDIDATES], first_seconds)
    budget.limit_stage(FIRST_SERIES_FRACTION)
    series = TrialSeries(recorded_run, base, steps, budget, on_progress)
    run_fraction = series.run_fraction
    tested = drop_too_short(series, everyone)
    sequences = tested[:count]
    # The first round is not cut short, and takes longer beside other programs.
    first_round = first_round_seconds(recorded_run, base, sequences, steps)
    max_seconds = max(budget.total, first_round * contention_factor(num_parallel_trials(base)))
    all_cached = are_cached(series, [None, *(sequence[0] for sequence in sequences)])
    how_long = (
        "mostly kept from before" if all_cached else f"for about {format_duration(max_seconds)}"
    )
    on_progress(
        f"testing {len(sequences)} changes, each on {run_fraction:.0%} of the run, {how_long}", 0.0
    )
    run_one_seed(series, sequences, "testing changes")
    own = _own_loss(series)
    verdict = evaluate_series(series, ranked_causes, measurements, own)
    budget.limit_stage(1.0)
    for _ in range(MAX_FULL_LENGTH_ROUNDS):  # where the best does not last, the next is tried
        if not run_full_length_trials(series, verdict, own):
            break
        verdict = evaluate_series(series, ranked_causes, measurements, own)
    budget.limit_stage(FIRST_SERIES_FRACTION)
    run_more_seeds(series, sequences, "testing changes")
    verdict = evaluate_series(series, ranked_causes, measurements, own)
    budget.limit_stage(1.0)
    rest = limit_to_budget(series, tested[count:])
    if verdict.best_effect is None and rest:
        # Nothing is called healthy while there is time to try what was suspected least.
        run_trial_series(series, rest, "testing the other changes")
        verdict = evaluate_series(series, ranked_causes, measurements, own)
    if verdict.best_effect is not None:  # which of two proved treatments comes first is worth less
        budget.limit_stage(FIRST_SERIES_FRACTION)  # than what is found on top of them
    verdict = add_seeds_until_decided(series, ranked_causes, measurements, own, verdict)
    budget.limit_stage(1.0)
    tokens = series.steps * recorded_run.tokens_per_step
    warnings = describe_trials(
        tokens, series.run_fraction, count_evaluation_tokens(tokens),
        recorded_run.corpus_count("validation_tokens"),
    )  # fmt: skip
    verdict, tested_causes, said = _add_second_cause(
        series, verdict, ranked_causes, measurements, own
    )
    return add_untested_causes(verdict, everyone, series, tested_causes), [*warnings, *said]


def _own_loss(series: TrialSeries) -> float | None:
    """Return the loss of the run on the text that its trials are judged on; None where they are as
    long as it."""
    control = make_series_spec(series, None, series.seed)
    if control is None or series.steps >= series.recorded_run.total_steps:
        return None
    return run_validation_loss(series.recorded_run, control.evaluation_tokens)


def _add_second_cause(
    series: TrialSeries,
    verdict: Verdict,
    ranked_causes: list[RankedCause],
    measurements: Measurements,
    own: float | None,
) -> tuple[Verdict, Collection[str], list[str]]:
    """Return the verdict with what helps on top of its best treatment, and what was tested so."""
    best = verdict.best_effect
    if verdict.verdict == "unknown" or best is None:
        return verdict, (), []
    if series.remaining_seconds() <= 0:
        return verdict, (), [COMBINATIONS_UNTESTED]
    spared = {f.cause for f in verdict.findings if f.trial is None or not f.recommended_config}
    more = find_additional_causes(
        series, best, [best.treatment.cause], ranked_causes, measurements, own, spared
    )
    merged = merge_findings(verdict, best.treatment.cause, more.findings)
    return merged, more.tested_causes, []
