"""A run examined from beginning to end: signals, suspects, race, verdict."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from descend.config import RunConfig, nearest
from descend.doctor.by_heart import SHARE, by_heart
from descend.doctor.case import Case, open_case
from descend.doctor.causes import CAUSES
from descend.doctor.diagnosis import (
    BUDGET,
    OF_A_NEW_VOCABULARY,
    Cost,
    Diagnosis,
    Finding,
    RuledOut,
    Trial,
    trial_seconds,
)
from descend.doctor.divergence import judge_divergence
from descend.doctor.gains import Gain, all_gains
from descend.doctor.lanes import Lane, base_config, prescription
from descend.doctor.measure import measure, own_loss
from descend.doctor.race import (
    FIRST_RACE,
    SEEDS,
    Race,
    at_once,
    choose_length,
    first_round_seconds,
    run_race,
    that_fit,
)
from descend.doctor.reading import Readings
from descend.doctor.suspicion import Suspect, evidence_of, suspects
from descend.doctor.untried import remarks, why_not, with_untried
from descend.doctor.verdict import Judged, best_of_each, judge, judge_unproved
from descend.errors import ConfigError
from descend.machine import crowding
from descend.runs.durable import write_file
from descend.runs.folder import DIAGNOSIS
from descend.settings import changed
from descend.text.store import no_progress
from descend.training.process import beside_others
from descend.units import duration

MOST_BUDGET = 100.0
MOST_SUSPECTS = 9
"""Causes raced at first; each more makes all trials shorter."""
FIXED_BY_PARENT = ("embed_dim", "max_seq_len", "vocab_size")
"""What a run that went on from another model cannot change."""
CONTENDERS = 2
"""Remedies that are given more seeds where three leave the verdict in doubt."""
SURE = 0.8
"""Probability of a verdict from which it is in no doubt."""
MOST_SUSPECTED = 4
"""Of them by suspicion alone; then those that the guide asks for, then the rest."""
SECOND_SUSPECTS = 4
"""Causes raced after the best remedy."""
LEAST_SEEDS = 2
"""Pairs of runs under which no second cause is told: what the time left is enough for differs from
one diagnosis to the next, and a pair alone would then decide what is prescribed."""

Told = Callable[[str, float], None]


def consult(
    folder: Path,
    *,
    budget: float = BUDGET,
    least_seconds: float | None = None,
    proof: bool = True,
    told: Told = no_progress,
) -> Diagnosis:
    """Why the run in `folder` does not learn better; nothing is written.

    `budget`: share of the run's own time that trials may take (but `least_seconds` always, one to
    three minutes by the run's own time);
    without `proof` the signals alone are read. Raises `RunFolderError` where there is no run.
    """
    if not 0 <= budget <= MOST_BUDGET:
        raise ConfigError(
            "--budget", f"{budget:g}", f"a share of the run's own time, 0 to {MOST_BUDGET:g}",
            "0.15 is usual; 1 allows trials that take as long as the run",
        )  # fmt: skip
    began = time.monotonic()
    case = open_case(folder, told)
    told("reading the run", 0.0)
    with beside_others():
        readings = measure(case)
    found = suspects(CAUSES, case.config, readings)
    notes = list(case.notes)
    allowed = trial_seconds(case.full_seconds, budget, least_seconds)
    reason = why_not(case, readings, proof)
    if proof and case.store is not None:
        told("learning by heart", 0.0)
        with beside_others():
            learned, said = by_heart(case, SHARE * allowed)
        readings, notes = readings | learned, notes + said
    if case.ran_away:
        judged, said = _of_a_run_away(case, found, readings, 0.0 if reason else allowed, told)
        notes += [reason] if reason else said
    elif reason is not None:
        judged = judge_unproved(found, readings)
        notes.append(reason)
    else:
        judged, said = _proved(case, found, readings, allowed, told)
        notes += said
    if judged.verdict == "healthy":
        notes += remarks(readings, folder, reason)
    seconds = time.monotonic() - began
    return Diagnosis(
        run=str(folder),
        verdict=judged.verdict,
        probability=round(judged.probability, 3),
        causes=judged.findings,
        ruled_out=judged.ruled_out,
        readings=[evidence_of(r, "") for r in readings.values()],
        notes=notes,
        cost=Cost(round(seconds, 1), round(seconds / max(case.full_seconds, 1e-9), 3)),
        untried=reason,
    )


def keep(diagnosis: Diagnosis) -> None:
    """Write diagnosis.json into the run folder."""
    content = msgspec.json.format(msgspec.json.encode(diagnosis))
    write_file(Path(diagnosis.run) / DIAGNOSIS, content)


def check_causes(names: list[str]) -> set[str]:
    """`names` as a set; `ConfigError` for one that is no verdict."""
    known = [*(c.name for c in CAUSES), "healthy", "unknown"]
    for name in names:
        if name not in known:
            guess = nearest(name, known)
            raise ConfigError(
                "--fail-on", name, "one of " + ", ".join(known),
                f"did you mean {guess}" if guess else "choose one of those",
            )  # fmt: skip
    return set(names)


def _of_a_run_away(
    case: Case, found: list[Suspect], readings: Readings, allowed: float, told: Told
) -> tuple[Judged, list[str]]:
    """The verdict on a run whose numbers ran away: that first; then what else is wrong with it,
    where it was rescued, came to its end and does not run away again, or what more there is to gain
    with the change that comes past the bad step."""
    began = time.monotonic()
    judged, notes, past = judge_divergence(case, found, readings, allowed, told)
    left = allowed - (time.monotonic() - began)
    if left <= 0:
        return judged, notes
    if past.again or not case.finished:
        if past.lane is None:
            return judged, notes
        second = _past_it(case, past.lane, found, readings, left, told)
        return _with_second(judged, second), notes
    others, said = _proved(case, found, readings, left, told)
    out = [r for r in others.ruled_out if r.cause != "diverged"]
    proved = others.findings
    if others.verdict == "unknown":
        doubtful = "it gained, which may be chance"
        out += [RuledOut(cause=f.cause, because=doubtful, trial=f.trial) for f in proved]
        proved = []
    return replace(judged, findings=judged.findings + proved, ruled_out=out), notes + said


def _past_it(
    case: Case, lane: Lane, found: list[Suspect], readings: Readings, left: float, told: Told
) -> Finding | None:
    """The best further remedy of a run that ran away, on top of the mildest change with which it
    does not: to stay finite is not yet to learn."""
    base = changed(base_config(case), lane.change.keys)
    ladders = _in_order(_ladders(case, base, found, readings))
    steps, count = choose_length(case, base, ladders[:MOST_SUSPECTS], left)
    race = Race(case, base, steps, time.monotonic() + left, told)
    run_race(race, race.long_enough_for(ladders)[:count], "trying on top of it")
    return proved_twice(_judged(race, found, readings, None).findings)


def _proved(
    case: Case, found: list[Suspect], readings: Readings, allowed: float, told: Told
) -> tuple[Judged, list[str]]:
    """The verdict by trial, and what to say of the trials."""
    base = base_config(case)
    everyone = _in_order(_ladders(case, case.config, found, readings))
    began = time.monotonic()
    steps, count = choose_length(case, base, everyone[:MOST_SUSPECTS], FIRST_RACE * allowed)
    race = Race(case, base, steps, began + FIRST_RACE * allowed, told)
    share = race.share_of_run
    tested = race.long_enough_for(everyone)
    ladders = tested[:count]
    # The first round is not cut short, and takes longer beside other programs.
    first_round = first_round_seconds(case, base, ladders, steps)
    longest = max(allowed, first_round * crowding(at_once(base)))
    told(
        f"trying {len(ladders)} changes, each on {share:.0%} of the run, for about "
        f"{duration(longest)}", 0.0,
    )  # fmt: skip
    run_race(race, ladders, "trying")
    control = race.arm(None, race.seed)
    own = (
        own_loss(case, control.evaluation_tokens) if control and steps < case.total_steps else None
    )
    judged = _judged(race, found, readings, own)
    race.ends = began + allowed
    rest = _as_many_as_fit(race, tested[count:])
    if judged.winner is None and rest:
        # Nothing is called healthy while there is time to try what was suspected least.
        run_race(race, rest, "trying the rest")
        judged = _judged(race, found, readings, own)
    judged = _settled(race, found, readings, own, judged)
    notes = [
        f"each trial: {steps * case.tokens_per_step:,} tokens, {share:.0%} of the run, its "
        "schedule over exactly these; the same seed, data order and held-out tokens on both sides"
    ]
    if share < 1:
        notes.append(
            "trials shorter than the run: gains are as measured, and beside them what is expected "
            "of them at full length"
        )
    left = began + allowed - time.monotonic()
    raced: set[str] = set()
    if judged.verdict != "unknown" and judged.winner is not None:
        if left > 0:
            second, raced = _second(race, judged, found, readings, left, told)
            judged = _with_second(judged, second)
        else:
            notes.append("no second race after the best remedy: the time allowed was spent")
    return with_untried(judged, everyone, race, raced), notes


def _judged(race: Race, found: list[Suspect], readings: Readings, own: float | None) -> Judged:
    """The verdict by all that was raced so far; `own` as in `all_gains`."""
    gains = all_gains(race, own)
    prescriptions = _prescriptions(race, gains)
    return judge(found, readings, gains, prescriptions, race.share_of_run)


def _settled(
    race: Race, found: list[Suspect], readings: Readings, own: float | None, judged: Judged
) -> Judged:
    """`judged` after more seeds for its contenders, while it is in doubt and time is left."""
    for seed in race.seeds[SEEDS:]:
        lanes = [None, *(gain.lane for gain in judged.contenders[:CONTENDERS])]
        if judged.probability >= SURE and judged.verdict != "unknown":
            break
        if len(lanes) == 1 or not that_fit(race, lanes):
            break
        early = race.seeds[1:SEEDS]  # of one that was not among the best few at first
        race.run([(lane, s) for s in (*early, seed) for lane in lanes], "more seeds")
        judged = _judged(race, found, readings, own)
    return judged


def _as_many_as_fit(race: Race, ladders: list[list[Lane]]) -> list[list[Lane]]:
    """As many of `ladders` as can be tried in the time that is left."""
    count = len(ladders)
    while count and not that_fit(race, [None, *(ladder[0] for ladder in ladders[:count])]):
        count -= 1
    return ladders[:count]


def _ladders(
    case: Case, config: RunConfig, found: list[Suspect], readings: Readings
) -> list[list[Lane]]:
    """The remedies to race, a ladder a cause, the most suspected first."""
    fixed = set(FIXED_BY_PARENT) if case.info.parent else set()
    ladders = []
    for suspect in found:
        if suspect.because is None and suspect.cause.name != "diverged":
            changes = suspect.cause.trial(config, readings)
            allowed = [c for c in changes if not fixed & c.keys.keys()]
            if allowed:
                ladders.append(
                    [Lane(suspect.cause.name, change, suspect.cause.buys) for change in allowed]
                )
    return ladders


def _in_order(ladders: list[list[Lane]]) -> list[list[Lane]]:
    """Whom to race first: the most suspected few, then what the guide asks for, then the others."""
    asked = {c.name for c in CAUSES if c.asked}
    first, rest = ladders[:MOST_SUSPECTED], ladders[MOST_SUSPECTED:]
    return first + sorted(rest, key=lambda ladder: ladder[0].cause not in asked)


def _prescriptions(race: Race, gains: list[Gain]) -> dict[str, dict[str, Any]]:
    """The settings of each cause's best remedy; what only takes away is no remedy."""
    remedies = [g for g in gains if not g.lane.change.takes_away]
    return {
        name: prescription(race.case, race.base, gain.lane.change, race.longer)
        for name, gain in best_of_each(remedies).items()
        if gain.claimable
    }


def _second(
    race: Race, judged: Judged, found: list[Suspect], readings: Readings, left: float, told: Told
) -> tuple[Finding | None, set[str]]:
    """The best further remedy on top of the winner's, if there is one; and the causes tried."""
    assert judged.winner is not None
    lane = judged.winner.lane
    if lane.change.takes_away:
        return None, set()
    again = race_on_top(race, lane, left, told)
    first = race.gains
    done = {lane.cause, *(f.cause for f in judged.findings if f.trial is None)}
    ladders = again.long_enough_for(_ladders(race.case, again.base, found, readings))
    others = [x for x in ladders if x[0].cause not in done]
    # Those that gained most the first time, and those not yet raced, in order of suspicion.
    others.sort(key=lambda x: -max([0.0, *(g[0] for y in x if (g := first(y)))]))
    others = others[:SECOND_SUSPECTS]
    if again.longer > 1:  # the first round is not cut short, and takes as much longer
        others = _as_many_as_fit(again, others)
    if not others:
        return None, set()
    run_race(again, others, "trying on top of it")
    second = proved_twice(_judged(again, found, readings, None).findings)
    return second, {ladder[0].cause for ladder in others}


def proved_twice(findings: list[Finding]) -> Finding | None:
    """The first of `findings` that is no chance by more than a pair of runs: of a second race that
    leaves its verdict in doubt, what may gain is not told."""
    trials = ((f, f.trial) for f in findings if f.trial)
    return next((f for f, t in trials if t.counts and t.seeds >= LEAST_SEEDS), None)


def race_on_top(race: Race, lane: Lane, seconds: float, told: Told) -> Race:
    """A race of at most `seconds` more in which both sides have the remedy of `lane`: where it is
    more steps, both make them. Runs of `race` that are the same here are in the cache of trials."""
    base, longer = changed(race.base, lane.change.keys), lane.change.steps
    steps, ends = round(longer * race.steps), time.monotonic() + seconds
    return Race(race.case, base, steps, ends, told, longer=longer)


def _with_second(judged: Judged, second: Finding | None) -> Judged:
    """The second cause right after the first; one found before gives way to it."""
    if second is None or second.trial is None:
        return judged
    first = next((f for f in judged.findings if f.trial is not None), None)
    if first is None:  # it was not likely enough to be told
        return judged
    trial: Trial = msgspec.structs.replace(second.trial, after=[first.cause])
    if judged.winner and judged.winner.lane.change.new_vocabulary:
        trial = msgspec.structs.replace(trial, metric=OF_A_NEW_VOCABULARY)
    second = msgspec.structs.replace(second, trial=trial)
    place = judged.findings.index(first) + 1
    rest = [f for f in judged.findings if f.cause != second.cause]
    findings = [*rest[:place], second, *rest[place:]]
    out = [r for r in judged.ruled_out if r.cause != second.cause]
    return replace(judged, findings=findings, ruled_out=out, contenders=())
