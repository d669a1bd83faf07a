"""Diagnose, apply, train, again, until nothing more is gained or the time is up. Needs no torch.

What trains and what examines is handed in: this file only decides when to go on.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from descend.doctor.diagnosis import Diagnosis
from descend.doctor.prescription import changed_settings, holding_together, merged_prescription
from descend.runs.folder import read_summary

MOST_TURNS = 6
LEAST_GAIN = 0.005
"""Share of the bits per byte that a turn must gain for the next to be worth its time; the least
that a trial may claim."""


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One training and what was said of it."""

    run: str
    applied: dict[str, Any]
    """What was changed against the run before; empty for the first."""
    verdict_before: str | None
    """Of the run before: why this one was made."""
    mended: list[str]
    """The causes whose remedies were applied, in the order in which they were found."""
    validation_loss: float
    bits_per_byte: float
    gain: float | None
    """Bits per byte below the run before; comparable whatever the tokenizer."""
    seconds: float
    """Of training."""


class Treatment(msgspec.Struct, frozen=True, kw_only=True):
    """`cure --json`."""

    turns: list[Turn]
    best: str
    """The folder of the best model: of the lowest bits per byte."""
    verdict: str | None
    """Of the last diagnosis; None where there was no time for one."""
    stopped: str
    """Why it ended."""
    seconds: float


Train = Callable[[dict[str, Any]], Path]
Examine = Callable[[Path], Diagnosis]
Seen = Callable[[Turn], None]


def treat(
    start: Path | dict[str, Any],
    seconds: float,
    train: Train,
    examine: Examine,
    examining: Callable[[float], float],
    seen: Seen,
) -> Treatment:
    """From a run, or from settings to train first, for at most about `seconds`.

    Nothing is cut short: a step that would not fit into the time left is not begun, but the first
    training always is. `examining` tells how many seconds of trials a run of so many seconds is
    given; `seen` is told every turn.
    """
    began = time.monotonic()
    run = start if isinstance(start, Path) else train(start)
    turns = [_turn(run, {}, None, None)]
    seen(turns[0])
    verdict: str | None = None
    while True:
        left = seconds - (time.monotonic() - began)
        if left <= 0:
            return _end(turns, verdict, "the time is up", began)
        if (trials := examining(turns[-1].seconds)) > left:
            why = f"the next diagnosis would take about {trials:.0f} s and {left:.0f} s are left"
            return _end(turns, verdict, why, began)
        diagnosis = examine(run)
        verdict = diagnosis.verdict
        changes = merged_prescription(diagnosis)
        if not changes:
            why = f"the diagnosis ({verdict}) asks for no other setting"
            if diagnosis.untried:
                why = f"no other setting is proved better, and {diagnosis.untried}"
            return _end(turns, verdict, why, began)
        expected = turns[-1].seconds * _cost(diagnosis)
        left = seconds - (time.monotonic() - began)
        if expected > left:
            why = (
                f"the next training would take about {expected:.0f} s and {max(left, 0):.0f} s "
                f"are left; it would change {', '.join(changes)}"
            )
            return _end(turns, verdict, why, began)
        run = train(changed_settings(run, changes))
        turns.append(_turn(run, changes, diagnosis, turns[-1]))
        seen(turns[-1])
        if (turns[-1].gain or 0.0) < LEAST_GAIN * turns[-2].bits_per_byte:
            return _end(turns, verdict, "the last change gained nothing worth having", began)
        if len(turns) > MOST_TURNS:
            return _end(turns, verdict, f"{MOST_TURNS} changes were made", began)


def _turn(run: Path, applied: dict[str, Any], said: Diagnosis | None, before: Turn | None) -> Turn:
    summary = read_summary(run)
    gain = None if before is None else before.bits_per_byte - summary.bits_per_byte
    return Turn(
        run=str(run),
        applied=applied,
        verdict_before=said.verdict if said else None,
        mended=[f.cause for f in holding_together(said)] if said else [],
        validation_loss=summary.validation_loss,
        bits_per_byte=summary.bits_per_byte,
        gain=gain,
        seconds=summary.seconds,
    )


def _cost(diagnosis: Diagnosis) -> float:
    """How many times as long the treated run takes, by its trials."""
    factors = (f.trial.cost_factor for f in holding_together(diagnosis) if f.trial is not None)
    return math.prod(max(factor, 1.0) for factor in factors)


def _end(turns: list[Turn], verdict: str | None, why: str, began: float) -> Treatment:
    best = min(turns, key=lambda t: t.bits_per_byte)
    return Treatment(
        turns=turns,
        best=best.run,
        verdict=verdict,
        stopped=why,
        seconds=round(time.monotonic() - began, 1),
    )
