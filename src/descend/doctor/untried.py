"""What was not tried and why, and what is worth knowing of a run with nothing wrong."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import msgspec

from descend.doctor.case import RecordedRun
from descend.doctor.causes.undertrained import STILL_FALLING
from descend.doctor.diagnosis import OtherCause
from descend.doctor.healthy import reference_range
from descend.doctor.lanes import Treatment
from descend.doctor.race import TrialSeries
from descend.doctor.reading import Measurements, measurement_value
from descend.doctor.verdict import Verdict
from descend.trials.arms import parent_weights_file
from descend.units import quoted

FEWEST_HELD_OUT = 1000
"""Held-out tokens under which no difference between two runs can be told from chance: 0.1 nat is
one standard error there."""


def no_trials_reason(case: RecordedRun, readings: Measurements, proof: bool) -> str | None:
    """Why nothing can be tried, or None."""
    if case.store is None:
        return "nothing was tried: the text is not at hand; put it back where the run read it"
    if case.info.parent and not parent_weights_file(case.info.parent).is_file():
        return (
            f"nothing was tried: the model that the run went on from is not at {case.info.parent} "
            "(as seen from this folder)"
        )
    if not proof:
        return (
            "nothing was tried, as asked: the verdict rests on the signals alone; without "
            "--no-proof changes are tried"
        )
    if not case.had_divergence and measurement_value(readings, "validation_tokens") < FEWEST_HELD_OUT:
        return (
            f"nothing was tried: on {measurement_value(readings, 'validation_tokens'):.0f} held-out tokens no "
            "difference between two runs can be told from chance; train on more text, or with a "
            f"larger --validation-fraction, so that {FEWEST_HELD_OUT:,} are held out"
        )
    return None


def add_untested_causes(
    judged: Verdict, ladders: list[list[Treatment]], race: TrialSeries, raced: Collection[str]
) -> Verdict:
    """`judged`, saying of what could have been raced and was not that it was not tried, and why.

    `ladders`: what could have been; `raced`: causes tried on top of the best remedy of `race`.
    """
    least = {ladder[0].cause: ladder[0].change for ladder in ladders}
    reasons = {lane.cause: reason for lane, reason in race.invalid_treatments.items()}

    def told(out: OtherCause) -> OtherCause:
        if out.trial is not None or out.cause not in least or out.cause in raced:
            return out
        change, because = least[out.cause], reasons.get(out.cause, out.reason)
        if race.too_short_for(change):
            because = (
                f"{change.label} shows only in trials of {change.min_run_fraction:.0%} of the run and "
                "more"
            )
        return msgspec.structs.replace(out, reason=because, is_untested=True)

    return replace(judged, ruled_out=[told(out) for out in judged.ruled_out])


def healthy_run_remarks(readings: Measurements, folder: Path, untried: str | None) -> list[str]:
    """What is worth knowing of a run with nothing wrong; `untried`: why that is not proved."""
    told = []
    gap, falls = measurement_value(readings, "generalisation_gap"), measurement_value(readings, "last_epoch_gain")
    _, usual = reference_range("generalisation_gap")
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
