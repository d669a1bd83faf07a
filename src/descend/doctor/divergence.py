"""A run whose numbers ran away, rescued or not: what comes past the bad step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from descend.doctor.case import Case, far_above_guessing
from descend.doctor.diagnosis import Evidence, Finding, RuledOut, Trial
from descend.doctor.lanes import Lane, base_config, prescription
from descend.doctor.race import Race, at_once, lowest, seconds_for, that_fit
from descend.doctor.reading import Readings
from descend.doctor.suspicion import Suspect, evidence
from descend.doctor.verdict import Judged
from descend.trials.arms import Outcome
from descend.units import duration

Told = Callable[[str, float], None]

PAST = 2.0
"""A remedy must come to twice the step at which the run diverged (diagnosis notes, 3b)."""
LEAST_STEPS = 100
WHOLE_RUNS = 0.5
"""Share of the time allowed for which all changes are tried in runs of full length: which of them
learns best shows there."""
SLACK = 0.02
"""Of the loss, that a milder remedy may end higher than the best and still be preferred."""


@dataclass(frozen=True)
class Past:
    """What came of trying to get past the bad step."""

    trial: Trial | None = None
    """Of the mildest change that came past it; None where none did, or nothing was tried."""
    lane: Lane | None = None
    """That change."""
    again: bool = True
    """Whether the run would run away again, as far as was tried."""
    notes: tuple[str, ...] = ()


def judge_divergence(
    case: Case, found: Sequence[Suspect], readings: Readings, allowed: float, told: Told
) -> tuple[Judged, list[str], Past]:
    """`diverged`, where it began, and the mildest change that comes past it; what to say of it.

    `allowed`: seconds for trials, of which the first are made whatever they take.
    """
    suspect = next(s for s in found if s.cause.name == "diverged")
    notes = []
    if case.diverged:
        times = f" and {len(case.rescues)} rescues" if case.rescues else ""
        notes = [f"training stopped after {len(case.steps)} steps{times}"]
    past = _try(case, suspect, readings, allowed, told) if allowed > 0 else Past()
    finding = Finding(
        cause="diverged",
        probability=0.99,
        evidence=[_first_bad(case), *_rescued(case), *evidence(suspect.cause, readings)],
        prescription=prescription(case, base_config(case), past.lane.change) if past.lane else {},
        remedy=suspect.cause.remedy,
        trial=past.trial,
    )
    out = [
        RuledOut(cause=s.cause.name, because=_why_open(case), untried=True)
        for s in found
        if s.cause.name != "diverged"
    ]
    return Judged("diverged", 0.99, [finding], out, None), [*notes, *past.notes], past


def _why_open(case: Case) -> str:
    """Of every other cause, why it is not looked into."""
    if not case.rescues:
        return "the run diverged before it could show"
    return "the run was rescued on its way, which is to be mended before anything else is tried"


def _first_bad(case: Case) -> Evidence:
    """The first step that was not as it should be, and what was found there."""
    if case.rescues:
        step, found = case.rescues[0].bad_step, case.rescues[0].found
    elif case.exploded is not None:
        step = case.exploded
        found = f"a loss far above that of guessing, which is {math.log(case.shape.vocab_size):.1f}"
    else:
        step = 1 + (case.stopped.step if case.stopped else len(case.steps))
        found = case.stopped.found if case.stopped else ""
    found = found or "a loss or gradient that is not a finite number"
    return Evidence("first_bad_step", float(step), "of the run", (None, None), found)


def _rescued(case: Case) -> list[Evidence]:
    """How often the run was rescued, and what it took in the end."""
    if not case.rescues:
        return []
    last = case.rescues[-1]
    done = {"skip": f"{last.value:.0f} batches left out", "clip": f"clipping at {last.value:g}",
            "rate": f"the rate times {last.value:.2g}"}[last.change]  # fmt: skip
    why = f"the last time with {done}"
    return [Evidence("rescues", float(len(case.rescues)), "times", (None, 0.0), why)]


def _ran_away(outcome: Outcome) -> bool:
    """Whether a trial did: to numbers that are not finite, or far above guessing."""
    far = far_above_guessing(outcome.vocab_size)
    return outcome.diverged_at is not None or outcome.validation_loss > far


def _try(case: Case, suspect: Suspect, readings: Readings, allowed: float, told: Told) -> Past:
    base, step = base_config(case), round(_first_bad(case).value) - 1
    lanes = [Lane("diverged", change) for change in suspect.cause.trial(case.config, readings)]
    race = Race(case, base, max(case.total_steps, 1), time.monotonic() + allowed, told)
    if seconds_for(race, [None, *lanes]) > WHOLE_RUNS * allowed:
        race.steps = min(race.steps, max(round(PAST * step), LEAST_STEPS))
    steps = race.steps
    # The mildest first, as many as there are cores; the rest while there is time.
    together = max(2, at_once(base))
    wanted: list[Lane | None] = [None, *lanes]
    seconds = seconds_for(race, wanted[:together])
    told(f"trying up to {len(lanes)} changes, the first for about {duration(seconds)}", 0.0)
    for place in range(0, len(wanted), together):
        some = wanted[place : place + together]
        if place and not that_fit(race, some):
            break
        race.run([(lane, race.seed) for lane in some], "trying")
    control = race.outcomes[None, race.seed]
    came_past = [
        (lane, outcome)
        for lane in lanes
        if (outcome := race.outcomes.get((lane, race.seed))) and not _ran_away(outcome)
    ]
    notes = []
    left_out = sum((x, race.seed) not in race.outcomes and x not in race.refused for x in lanes)
    if left_out:
        notes.append(f"{left_out} of {len(lanes)} changes were not tried: --budget allows no more")
    again = _ran_away(control)
    if not again:
        notes.append(
            f"the same settings did not diverge again within {steps} steps of a schedule of that "
            "length: it hangs on the length, or on chance"
        )
    if not came_past:
        return Past(again=again, notes=(*notes, "none of the changes tried came past it"))
    best = min(lowest(o)[0] for _, o in came_past)
    lane, outcome = next((x, o) for x, o in came_past if lowest(o)[0] <= best * (1 + SLACK))
    trial = Trial(
        metric="held-out loss, nats per token",
        change=lane.change.label,
        control=lowest(control)[0],
        treated=lowest(outcome)[0],
        gain=lowest(control)[0] - lowest(outcome)[0],
        ci95=None,
        p_holm=1.0,
        seeds=1,
        tokens=outcome.tokens,
        share_of_run=steps / max(case.total_steps, 1),
        seconds=race.seconds,
        cost_factor=outcome.seconds / max(control.seconds, 1e-9),
    )
    return Past(trial, lane, again, tuple(notes))
