"""A run examined from beginning to end: signals, suspects, race, verdict."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

import msgspec

from descend.config import nearest
from descend.doctor.by_heart import SHARE, by_heart
from descend.doctor.case import Case, open_case
from descend.doctor.causes import CAUSES
from descend.doctor.diagnosis import (
    BUDGET,
    Cost,
    Diagnosis,
    Finding,
    RuledOut,
    trial_seconds,
    tried,
)
from descend.doctor.divergence import judge_divergence
from descend.doctor.lanes import Lane, base_config
from descend.doctor.measure import measure, own_loss
from descend.doctor.on_top import best_further, further, with_further
from descend.doctor.prescription import read_diagnosis
from descend.doctor.race import (
    FIRST_RACE,
    Race,
    at_once,
    choose_length,
    first_round_seconds,
    run_race,
)
from descend.doctor.reading import Readings
from descend.doctor.rounds import as_many_as_fit, in_order, judged_race, ladders_of, settled
from descend.doctor.suspicion import Suspect, evidence_of, suspects
from descend.doctor.untried import remarks, why_not, with_untried
from descend.doctor.verdict import Judged, judge_unproved
from descend.errors import ConfigError, RunFolderError
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


KEPT_EARLIER = (
    "an earlier diagnosis of this run rests on trials, and this one on none: diagnosis.json keeps "
    "the earlier one, which --apply and the report follow"
)


def keep(diagnosis: Diagnosis) -> Diagnosis:
    """Write diagnosis.json into the run folder, unless `diagnosis` tried nothing and the one there
    did; then it is given back with a note that says so."""
    folder = Path(diagnosis.run)
    if not tried(diagnosis) and _was_tried(folder):
        return msgspec.structs.replace(diagnosis, notes=[*diagnosis.notes, KEPT_EARLIER])
    content = msgspec.json.format(msgspec.json.encode(diagnosis))
    write_file(folder / DIAGNOSIS, content)
    return diagnosis


def _was_tried(folder: Path) -> bool:
    """Whether a diagnosis with trials stands in `folder`; one that is damaged counts for none."""
    try:
        return tried(read_diagnosis(folder))
    except RunFolderError:
        return False


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
    ends = time.monotonic() + allowed
    judged, notes, past = judge_divergence(case, found, readings, allowed, told)
    if time.monotonic() >= ends:
        return judged, notes
    if past.again or not case.finished:
        if past.lane is None:
            return judged, notes
        more = _past_it(case, past.lane, found, readings, ends, told)
        return with_further(judged, "diverged", more), notes
    others, said = _proved(case, found, readings, ends - time.monotonic(), told)
    out = [r for r in others.ruled_out if r.cause != "diverged"]
    proved = others.findings
    if others.verdict == "unknown":
        doubtful = "it gained, which may be chance"
        out += [RuledOut(cause=f.cause, because=doubtful, trial=f.trial) for f in proved]
        proved = []
    return replace(judged, findings=judged.findings + proved, ruled_out=out), notes + said


def _past_it(
    case: Case, lane: Lane, found: list[Suspect], readings: Readings, ends: float, told: Told
) -> list[Finding]:
    """Further remedies of a run that ran away, on top of the mildest change with which it does not:
    to stay finite is not yet to learn."""
    base, left = changed(base_config(case), lane.change.keys), ends - time.monotonic()
    ladders = in_order(ladders_of(case, base, found, readings))
    steps, count = choose_length(case, base, ladders[:MOST_SUSPECTS], left)
    race = Race(case, base, steps, ends, told)
    run_race(race, race.long_enough_for(ladders)[:count], "trying on top of it")
    best = best_further(race, ["diverged"], found, readings)
    if best is None:
        return []
    first, gain = best
    more = further(race, gain, ["diverged", first.cause], found, readings, None)
    return [first, *more.findings]


def _proved(
    case: Case, found: list[Suspect], readings: Readings, allowed: float, told: Told
) -> tuple[Judged, list[str]]:
    """The verdict by trial, and what to say of the trials."""
    base = base_config(case)
    everyone = in_order(ladders_of(case, case.config, found, readings))
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
    judged = judged_race(race, found, readings, own)
    race.ends = began + allowed
    rest = as_many_as_fit(race, tested[count:])
    if judged.winner is None and rest:
        # Nothing is called healthy while there is time to try what was suspected least.
        run_race(race, rest, "trying the rest")
        judged = judged_race(race, found, readings, own)
    if judged.winner is not None:  # which of two proved remedies comes first is worth less
        race.ends = began + FIRST_RACE * allowed  # than what is found on top of them
    judged = settled(race, found, readings, own, judged)
    race.ends = began + allowed
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
    if judged.verdict != "unknown" and judged.winner is not None:
        if race.left() > 0:
            best, names = judged.winner, [judged.winner.lane.cause]
            spared = {f.cause for f in judged.findings if f.trial is None or not f.prescription}
            more = further(race, best, names, found, readings, own, spared)
            judged, raced = with_further(judged, best.lane.cause, more.findings), more.raced
        else:
            notes.append("no second race after the best remedy: the time allowed was spent")
    return with_untried(judged, everyone, race, raced), notes
