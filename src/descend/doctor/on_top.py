"""What more there is to gain once the best remedy is in place: raced again on top of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import msgspec

from descend.doctor.diagnosis import OF_A_NEW_VOCABULARY, Finding, RuledOut
from descend.doctor.gains import Gain, curve_of
from descend.doctor.race import Race, run_race
from descend.doctor.reading import Readings
from descend.doctor.rounds import as_many_as_fit, judged_race, ladders_of, settled
from descend.doctor.suspicion import Suspect
from descend.doctor.verdict import Judged
from descend.settings import changed
from descend.signals.curve import Measured

MOST_ON_TOP = 4
"""Causes raced on top of a remedy."""
LEAST_SEEDS = 2
"""Pairs of runs under which no further cause is told: what the time left is enough for differs from
one diagnosis to the next, and a pair alone would then decide what is prescribed."""


@dataclass(frozen=True)
class Further:
    """Remedies on top of the first, each found with all before it in place, and all that was tried
    there."""

    findings: tuple[Finding, ...] = ()
    raced: frozenset[str] = frozenset()


def further(
    race: Race,
    gain: Gain,
    causes: Sequence[str],
    found: list[Suspect],
    readings: Readings,
    own: float | None,
    spared: Collection[str] = (),
) -> Further:
    """The best further remedy, and on top of that the next, until none gains or time is spent.

    `gain`: the best of `race`, whose `ends` holds for all that follows; `causes`: those whose
    remedies are in place then, the last one that of `gain`; `own`: as in `all_gains`; `spared`:
    others that are not to be tried.
    """
    findings: list[Finding] = []
    raced: set[str] = set()
    shown, names = _shown(race), list(causes)
    curve = curve_of(race, own)
    while race.left() > 0:
        race = race_on_top(race, gain, curve)
        ladders = race.long_enough_for(ladders_of(race.case, race.base, found, readings))
        others = [x for x in ladders if x[0].cause not in {*names, *spared}]
        # Those that gained most before, and those not yet raced, in order of suspicion.
        others.sort(key=lambda x: -shown.get(x[0].cause, 0.0))
        others = others[:MOST_ON_TOP]
        if findings or race.longer > 1:  # a first round is not cut short
            others = as_many_as_fit(race, others)
        if not others:
            break
        run_race(race, others, "trying on top of it")
        raced |= {ladder[0].cause for ladder in others}
        shown |= _shown(race)
        best = best_further(race, names, found, readings)
        if best is None:
            break
        finding, gain = best
        findings.append(finding)
        names.append(finding.cause)
        if gain.lane.change.takes_away:
            break
    return Further(tuple(findings), frozenset(raced))


def best_further(
    race: Race, causes: Sequence[str], found: list[Suspect], readings: Readings
) -> tuple[Finding, Gain] | None:
    """The best that `race` proves by more than a pair of runs, told and measured; `causes`: those
    whose remedies both sides have."""
    judged = settled(race, found, readings, None, judged_race(race, found, readings, None))
    finding = proved_twice(judged.findings)
    if finding is None or finding.trial is None:
        return None
    trial = msgspec.structs.replace(finding.trial, after=list(causes))
    if race.base.vocab_path is None:  # the very tokenizer of the run, until another is prescribed
        trial = msgspec.structs.replace(trial, metric=OF_A_NEW_VOCABULARY)
    return msgspec.structs.replace(finding, trial=trial), judged.best[finding.cause]


def proved_twice(findings: list[Finding]) -> Finding | None:
    """The first of `findings` that is no chance by more than a pair of runs: of a race on top that
    leaves its verdict in doubt, what may gain is not told."""
    trials = ((f, f.trial) for f in findings if f.trial)
    return next((f for f, t in trials if t.counts and t.seeds >= LEAST_SEEDS), None)


def race_on_top(race: Race, gain: Gain, curve: Measured | None) -> Race:
    """A race in which both sides have the remedy of `gain`, until the same time: where it is more
    steps, both make them. Runs of `race` that are the same here are in the cache of trials.

    `curve`: of the run examined, by length; None where trials are as long as it is. With a remedy
    that is worth so many times the steps, a trial stands so much further on it.
    """
    change = gain.lane.change
    return Race(
        race.case, changed(race.base, change.keys), round(change.steps * race.steps), race.ends,
        race.told,
        longer=change.steps * race.longer,
        known=curve,
        head_start=race.head_start * (gain.steps_worth or 1.0) / change.steps,
    )  # fmt: skip


def with_further(judged: Judged, first: str, more: Sequence[Finding]) -> Judged:
    """Each further cause right after the one that it comes on top of, beginning with `first`; one
    found before gives way to it. `judged` as it is where `first` was not likely enough to be told.
    """
    told = next((f for f in judged.findings if f.cause == first and f.trial), None)
    if told is None or not more:
        return judged
    names = {f.cause for f in more}
    rest = [f for f in judged.findings if f.cause not in names]
    place = rest.index(told) + 1
    out: list[RuledOut] = [r for r in judged.ruled_out if r.cause not in names]
    return replace(judged, findings=[*rest[:place], *more, *rest[place:]], ruled_out=out)


def _shown(race: Race) -> dict[str, float]:
    """The best gain of each cause on the run's own seed, at least 0."""
    best: dict[str, float] = {}
    for lane in race.lanes():
        gains = race.gains(lane)
        best[lane.cause] = max([best.get(lane.cause, 0.0), *gains[:1]])
    return best
