"""A run examined from beginning to end: signals, suspects, race, verdict."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

import msgspec

from descend.config import closest_match
from descend.doctor.by_heart import MAX_TIME_FRACTION, check_memorization
from descend.doctor.case import RecordedRun, load_recorded_run
from descend.doctor.causes import CAUSES
from descend.doctor.diagnosis import (
    DEFAULT_BUDGET,
    Cost,
    Diagnosis,
    Finding,
    OtherCause,
    trial_budget_seconds,
    has_trials,
)
from descend.doctor.divergence import diagnose_divergence
from descend.doctor.lanes import Treatment, control_config
from descend.doctor.measure import measure_run, run_validation_loss
from descend.doctor.on_top import best_additional_finding, find_additional_causes, merge_findings
from descend.doctor.prescription import load_diagnosis
from descend.doctor.race import (
    FIRST_SERIES_FRACTION,
    TrialSeries,
    num_parallel_trials,
    choose_trial_length,
    first_round_seconds,
    run_trial_series,
)
from descend.doctor.reading import Measurements
from descend.doctor.rounds import limit_to_budget, prioritize, evaluate_series, treatment_sequences, add_seeds_until_decided
from descend.doctor.suspicion import RankedCause, evidence_of, rank_causes
from descend.doctor.untried import healthy_run_remarks, no_trials_reason, add_untested_causes
from descend.doctor.verdict import Verdict, decide_without_trials
from descend.errors import ConfigError, RunFolderError
from descend.machine import contention_factor
from descend.runs.durable import write_file_atomic
from descend.runs.folder import DIAGNOSIS
from descend.settings import with_changes
from descend.text.store import ignore_progress
from descend.training.process import limit_threads_to_idle_cores
from descend.units import format_duration

MAX_BUDGET = 100.0
MAX_CANDIDATES = 9
"""Causes raced at first; each more makes all trials shorter."""

Told = Callable[[str, float], None]


def diagnose_run(
    folder: Path,
    *,
    budget: float = DEFAULT_BUDGET,
    least_seconds: float | None = None,
    proof: bool = True,
    told: Told = ignore_progress,
) -> Diagnosis:
    """Why the run in `folder` does not learn better; nothing is written.

    `budget`: share of the run's own time that trials may take (but `least_seconds` always, one to
    three minutes by the run's own time);
    without `proof` the signals alone are read. Raises `RunFolderError` where there is no run.
    """
    if not 0 <= budget <= MAX_BUDGET:
        raise ConfigError(
            "--budget", f"{budget:g}", f"a share of the run's own time, 0 to {MAX_BUDGET:g}",
            "0.15 is usual; 1 allows trials that take as long as the run",
        )  # fmt: skip
    began = time.monotonic()
    case = load_recorded_run(folder, told)
    told("reading the run", 0.0)
    with limit_threads_to_idle_cores():
        readings = measure_run(case)
    found = rank_causes(CAUSES, case.config, readings)
    notes = list(case.warnings)
    allowed = trial_budget_seconds(case.estimated_total_seconds, budget, least_seconds)
    reason = no_trials_reason(case, readings, proof)
    if proof and case.store is not None:
        told("learning by heart", 0.0)
        with limit_threads_to_idle_cores():
            learned, said = check_memorization(case, MAX_TIME_FRACTION * allowed)
        readings, notes = readings | learned, notes + said
    if case.had_divergence:
        judged, said = _diagnose_diverged(case, found, readings, 0.0 if reason else allowed, told)
        notes += [reason] if reason else said
    elif reason is not None:
        judged = decide_without_trials(found, readings)
        notes.append(reason)
    else:
        judged, said = _diagnose_by_trials(case, found, readings, allowed, told)
        notes += said
    if judged.verdict == "healthy":
        notes += healthy_run_remarks(readings, folder, reason)
    seconds = time.monotonic() - began
    return Diagnosis(
        run=str(folder),
        verdict=judged.verdict,
        probability=round(judged.probability, 3),
        causes=judged.findings,
        ruled_out=judged.ruled_out,
        measurements=[evidence_of(r, "") for r in readings.values()],
        warnings=notes,
        cost=Cost(round(seconds, 1), round(seconds / max(case.estimated_total_seconds, 1e-9), 3)),
        untested_reason=reason,
    )


KEPT_EARLIER = (
    "an earlier diagnosis of this run rests on trials, and this one on none: diagnosis.json keeps "
    "the earlier one, which --apply and the report follow"
)


def save_diagnosis(diagnosis: Diagnosis) -> Diagnosis:
    """Write diagnosis.json into the run folder, unless `diagnosis` tried nothing and the one there
    did; then it is given back with a note that says so."""
    folder = Path(diagnosis.run)
    if not has_trials(diagnosis) and _was_tried(folder):
        return msgspec.structs.replace(diagnosis, warnings=[*diagnosis.warnings, KEPT_EARLIER])
    content = msgspec.json.format(msgspec.json.encode(diagnosis))
    write_file_atomic(folder / DIAGNOSIS, content)
    return diagnosis


def _was_tried(folder: Path) -> bool:
    """Whether a diagnosis with trials stands in `folder`; one that is damaged counts for none."""
    try:
        return has_trials(load_diagnosis(folder))
    except RunFolderError:
        return False


def validate_cause_names(names: list[str]) -> set[str]:
    """`names` as a set; `ConfigError` for one that is no verdict."""
    known = [*(c.name for c in CAUSES), "healthy", "unknown"]
    for name in names:
        if name not in known:
            guess = closest_match(name, known)
            raise ConfigError(
                "--fail-on", name, "one of " + ", ".join(known),
                f"did you mean {guess}" if guess else "choose one of those",
            )  # fmt: skip
    return set(names)


def _diagnose_diverged(
    case: RecordedRun, found: list[RankedCause], readings: Measurements, allowed: float, told: Told
) -> tuple[Verdict, list[str]]:
    """The verdict on a run whose numbers ran away: that first; then what else is wrong with it,
    where it was rescued, came to its end and does not run away again, or what more there is to gain
    with the change that comes past the bad step."""
    ends = time.monotonic() + allowed
    judged, notes, past = diagnose_divergence(case, found, readings, allowed, told)
    if time.monotonic() >= ends:
        return judged, notes
    if past.again or not case.finished:
        if past.lane is None:
            return judged, notes
        more = _combine_after_divergence(case, past.lane, found, readings, ends, told)
        return merge_findings(judged, "diverged", more), notes
    others, said = _diagnose_by_trials(case, found, readings, ends - time.monotonic(), told)
    out = [r for r in others.ruled_out if r.cause != "diverged"]
    proved = others.findings
    if others.verdict == "unknown":
        doubtful = "it gained, which may be chance"
        out += [OtherCause(cause=f.cause, reason=doubtful, trial=f.trial) for f in proved]
        proved = []
    return replace(judged, findings=judged.findings + proved, ruled_out=out), notes + said


def _combine_after_divergence(
    case: RecordedRun, lane: Treatment, found: list[RankedCause], readings: Measurements, ends: float, told: Told
) -> list[Finding]:
    """Further remedies of a run that ran away, on top of the mildest change with which it does not:
    to stay finite is not yet to learn."""
    base, left = with_changes(control_config(case), lane.change.keys), ends - time.monotonic()
    ladders = prioritize(treatment_sequences(case, base, found, readings))
    steps, count = choose_trial_length(case, base, ladders[:MAX_CANDIDATES], left)
    race = TrialSeries(case, base, steps, ends, told)
    run_trial_series(race, race.long_enough_for(ladders)[:count], "trying on top of it")
    best = best_additional_finding(race, ["diverged"], found, readings)
    if best is None:
        return []
    first, gain = best
    more = find_additional_causes(race, gain, ["diverged", first.cause], found, readings, None)
    return [first, *more.findings]


def _diagnose_by_trials(
    case: RecordedRun, found: list[RankedCause], readings: Measurements, allowed: float, told: Told
) -> tuple[Verdict, list[str]]:
    """The verdict by trial, and what to say of the trials."""
    base = control_config(case)
    everyone = prioritize(treatment_sequences(case, case.config, found, readings))
    began = time.monotonic()
    steps, count = choose_trial_length(case, base, everyone[:MAX_CANDIDATES], FIRST_SERIES_FRACTION * allowed)
    race = TrialSeries(case, base, steps, began + FIRST_SERIES_FRACTION * allowed, told)
    share = race.share_of_run
    tested = race.long_enough_for(everyone)
    ladders = tested[:count]
    # The first round is not cut short, and takes longer beside other programs.
    first_round = first_round_seconds(case, base, ladders, steps)
    longest = max(allowed, first_round * contention_factor(num_parallel_trials(base)))
    told(
        f"trying {len(ladders)} changes, each on {share:.0%} of the run, for about "
        f"{format_duration(longest)}", 0.0,
    )  # fmt: skip
    run_trial_series(race, ladders, "trying")
    control = race.make_spec(None, race.seed)
    own = (
        run_validation_loss(case, control.evaluation_tokens) if control and steps < case.total_steps else None
    )
    judged = evaluate_series(race, found, readings, own)
    race.deadline = began + allowed
    rest = limit_to_budget(race, tested[count:])
    if judged.best_effect is None and rest:
        # Nothing is called healthy while there is time to try what was suspected least.
        run_trial_series(race, rest, "trying the rest")
        judged = evaluate_series(race, found, readings, own)
    if judged.best_effect is not None:  # which of two proved remedies comes first is worth less
        race.deadline = began + FIRST_SERIES_FRACTION * allowed  # than what is found on top of them
    judged = add_seeds_until_decided(race, found, readings, own, judged)
    race.deadline = began + allowed
    notes = [
        f"each trial: {steps * case.tokens_per_step:,} tokens, {share:.0%} of the run, its "
        "schedule over exactly these; the same seed, data order and held-out tokens on both sides"
    ]
    if share < 1:
        notes.append(
            "trials shorter than the run: gains are as measured, and beside them what is expected "
            "of them at full length"
        )
    raced: Collection[str] = ()
    if judged.verdict != "unknown" and judged.best_effect is not None:
        if race.remaining_seconds() > 0:
            best, names = judged.best_effect, [judged.best_effect.treatment.cause]
            spared = {f.cause for f in judged.findings if f.trial is None or not f.recommended_config}
            more = find_additional_causes(race, best, names, found, readings, own, spared)
            judged, raced = merge_findings(judged, best.treatment.cause, more.findings), more.raced
        else:
            notes.append("no second race after the best remedy: the time allowed was spent")
    return add_untested_causes(judged, everyone, race, raced), notes
