"""What was not tried and why, and what is worth knowing of a run with nothing wrong."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import msgspec

from descend.doctor.case import Case
from descend.doctor.causes.undertrained import STILL_FALLING
from descend.doctor.diagnosis import RuledOut
from descend.doctor.healthy import healthy_range
from descend.doctor.lanes import Lane
from descend.doctor.race import Race
from descend.doctor.reading import Readings, value
from descend.doctor.verdict import Judged
from descend.trials.arms import weights_of
from descend.units import quoted

FEWEST_HELD_OUT = 1000
"""Held-out tokens under which no difference between two runs can be told from chance: 0.1 nat is
one standard error there."""


def why_not(case: Case, readings: Readings, proof: bool) -> str | None:
    """Why nothing can be tried, or None."""
    if case.store is None:
        return "nothing was tried: the text is not at hand; put it back where the run read it"
    if case.info.parent and not weights_of(case.info.parent).is_file():
        return (
            f"nothing was tried: the model that the run went on from is not at {case.info.parent} "
            "(as seen from this folder)"
        )
    if not proof:
        return (
            "nothing was tried, as asked: the verdict rests on the signals alone; without "
            "--no-proof changes are tried"
        )
    if not case.ran_away and value(readings, "validation_tokens") < FEWEST_HELD_OUT:
        return (
            f"nothing was tried: on {value(readings, 'validation_tokens'):.0f} held-out tokens no "
            "difference between two runs can be told from chance; train on more text, or with a "
            f"larger --validation-fraction, so that {FEWEST_HELD_OUT:,} are held out"
        )
    return None


def with_untried(
    judged: Judged, ladders: list[list[Lane]], race: Race, raced: Collection[str]
) -> Judged:
    """`judged`, saying of what could have been raced and was not that it was not tried, and why.

    `ladders`: what could have been; `raced`: causes tried on top of the best remedy of `race`.
    """
    least = {ladder[0].cause: ladder[0].change for ladder in ladders}
    reasons = {lane.cause: reason for lane, reason in race.refused.items()}

    def told(out: RuledOut) -> RuledOut:
        if out.trial is not None or out.cause not in least or out.cause in raced:
            return out
        change, because = least[out.cause], reasons.get(out.cause, out.because)
        if race.too_short_for(change):
            because = (
                f"{change.label} shows only in trials of {change.least_share:.0%} of the run and "
                "more"
            )
        return msgspec.structs.replace(out, because=because, untried=True)

    return replace(judged, ruled_out=[told(out) for out in judged.ruled_out])


def remarks(readings: Readings, folder: Path, untried: str | None) -> list[str]:
    """What is worth knowing of a run with nothing wrong; `untried`: why that is not proved."""
    told = []
    gap, falls = value(readings, "generalisation_gap"), value(readings, "last_epoch_gain")
    _, usual = healthy_range("generalisation_gap")
    if usual is not None and gap >= usual:
        fault = "" if untried else "no setting is at fault, and "
        told.append(
            f"text it trained on is {gap:.2f} nats easier for it than held-out text: {fault}if "
            "anything helps, it is more text of the same kind"
        )
    if untried and falls >= STILL_FALLING:  # else twice the steps were tried
        told.append(
            f"the held-out loss still fell by {falls:.2f} nats in the last epoch, so more epochs "
            f"may help: descend forecast {quoted(folder)}"
        )
    return told
