"""One round of the race: who enters, and what it says."""

from __future__ import annotations

from typing import Any

from descend.config import RunConfig
from descend.doctor.case import Case
from descend.doctor.causes import CAUSES
from descend.doctor.gains import Gain, all_gains
from descend.doctor.lanes import Lane, prescription
from descend.doctor.race import SEEDS, Race, that_fit
from descend.doctor.reading import Readings
from descend.doctor.suspicion import Suspect
from descend.doctor.verdict import Judged, best_of_each, judge

FIXED_BY_PARENT = ("embed_dim", "max_seq_len", "vocab_size")
"""What a run that went on from another model cannot change."""
CONTENDERS = 2
"""Remedies that are given more seeds where three leave the verdict in doubt."""
SURE = 0.8
"""Probability of a verdict from which it is in no doubt."""
MOST_SUSPECTED = 4
"""Of them by suspicion alone; then those that the guide asks for, then the rest."""


def ladders_of(
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


def in_order(ladders: list[list[Lane]]) -> list[list[Lane]]:
    """Whom to race first: the most suspected few, then what the guide asks for, then the others."""
    asked = {c.name for c in CAUSES if c.asked}
    first, rest = ladders[:MOST_SUSPECTED], ladders[MOST_SUSPECTED:]
    return first + sorted(rest, key=lambda ladder: ladder[0].cause not in asked)


def as_many_as_fit(race: Race, ladders: list[list[Lane]]) -> list[list[Lane]]:
    """As many of `ladders` as can be tried in the time that is left."""
    count = len(ladders)
    while count and not that_fit(race, [None, *(ladder[0] for ladder in ladders[:count])]):
        count -= 1
    return ladders[:count]


def judged_race(race: Race, found: list[Suspect], readings: Readings, own: float | None) -> Judged:
    """The verdict by all that was raced so far; `own` as in `all_gains`."""
    gains = all_gains(race, own)
    prescriptions = _prescriptions(race, gains)
    return judge(found, readings, gains, prescriptions, race.share_of_run)


def _prescriptions(race: Race, gains: list[Gain]) -> dict[str, dict[str, Any]]:
    """The settings of each cause's best remedy; what only takes away is no remedy."""
    remedies = [g for g in gains if not g.lane.change.takes_away]
    return {
        name: prescription(race.case, race.base, gain.lane.change, race.longer)
        for name, gain in best_of_each(remedies).items()
        if gain.claimable
    }


def settled(
    race: Race, found: list[Suspect], readings: Readings, own: float | None, judged: Judged
) -> Judged:
    """`judged` after more seeds for its contenders, while it is in doubt and time is left.

    A cause that is sure enough is in no doubt; that a run is healthy is, as long as a remedy that
    may be chance gained as much as would count.
    """
    for seed in race.seeds[SEEDS:]:
        lanes = [None, *(gain.lane for gain in judged.contenders[:CONTENDERS])]
        if judged.probability >= SURE and judged.verdict not in ("unknown", "healthy"):
            break
        if len(lanes) == 1 or not that_fit(race, lanes):
            break
        early = race.seeds[1:SEEDS]  # of one that was not among the best few at first
        race.run([(lane, s) for s in (*early, seed) for lane in lanes], "more seeds")
        judged = judged_race(race, found, readings, own)
    return judged
