"""A run whose numbers ran away, rescued or not: what comes past the bad step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from descend.doctor.case import RecordedRun, divergence_threshold
from descend.doctor.diagnosis import Evidence, Finding, OtherCause, PairedTrial
from descend.doctor.lanes import Treatment, control_config, recommended_changes
from descend.doctor.race import TrialSeries, num_parallel_trials, best_validation_point, seconds_for, fits_in_budget
from descend.doctor.reading import Measurements
from descend.doctor.suspicion import RankedCause, supporting_evidence
from descend.doctor.verdict import Verdict
from descend.trials.arms import TrialResult
from descend.units import format_duration

Told = Callable[[str, float], None]

LENGTH_PAST_FAILURE = 2.0
"""A remedy must come to twice the step at which the run diverged (diagnosis notes, 3b)."""
LEAST_STEPS = 100
WHOLE_RUNS = 0.5
"""Share of the time allowed for which all changes are tried in runs of full length: which of them
learns best shows there."""
LOSS_TOLERANCE_NATS = 0.02
"""Of the loss, that a milder remedy may end higher than the best and still be preferred."""


@dataclass(frozen=True)
class DivergenceTrials:
    """What came of trying to get past the bad step."""

    trial: PairedTrial | None = None
    """Of the mildest change that came past it; None where none did, or nothing was tried."""
    lane: Treatment | None = None
    """That change."""
    again: bool = True
    """Whether the run would run away again, as far as was tried."""
    notes: tuple[str, ...] = ()


def diagnose_divergence(
    case: RecordedRun, found: Sequence[RankedCause], readings: Measurements, allowed: float, told: Told
) -> tuple[Verdict, list[str], DivergenceTrials]:
    """`diverged`, where it began, and the mildest change that comes past it; what to say of it.

    `allowed`: seconds for trials, of which the first are made whatever they take.
    """
    suspect = next(s for s in found if s.cause.name == "diverged")
    notes = []
    if case.diverged:
        times = f" and {len(case.rescues)} rescues" if case.rescues else ""
        notes = [f"training stopped after {len(case.steps)} steps{times}"]
    past = _try(case, suspect, readings, allowed, told) if allowed > 0 else DivergenceTrials()
    finding = Finding(
        cause="diverged",
        probability=0.99,
        evidence=[_first_bad(case), *_rescued(case), *supporting_evidence(suspect.cause, readings)],
        recommended_config=recommended_changes(case, control_config(case), past.lane.change) if past.lane else {},
        advice=suspect.cause.advice,
        trial=past.trial,
    )
    out = [
        OtherCause(cause=s.cause.name, reason=_why_open(case), is_untested=True)
        for s in found
        if s.cause.name != "diverged"
    ]
    return Verdict("diverged", 0.99, [finding], out, None), [*notes, *past.notes], past


def _why_open(case: RecordedRun) -> str:
    """Of every other cause, why it is not looked into."""
    if not case.rescues:
        return "the run diverged before it could show"
    return "the run was rescued on its way, which is to be mended before anything else is tried"


def _first_bad(case: RecordedRun) -> Evidence:
    """The first step that was not as it should be, and what was found there."""
    if case.rescues:
        step, found = case.rescues[0].failed_step, case.rescues[0].problem
    elif case.first_exploded_step is not None:
        step = case.first_exploded_step
        found = f"a loss far above that of guessing, which is {math.log(case.shape.vocab_size):.1f}"
    else:
        step = 1 + (case.stopped.step if case.stopped else len(case.steps))
        found = case.stopped.problem if case.stopped else ""
    found = found or "a loss or gradient that is not a finite number"
    return Evidence("first_bad_step", float(step), "of the run", (None, None), found)


def _rescued(case: RecordedRun) -> list[Evidence]:
    """How often the run was rescued, and what it took in the end."""
    if not case.rescues:
        return []
    last = case.rescues[-1]
    done = {"skip": f"{last.value:.0f} batches left out", "clip": f"clipping at {last.value:g}",
            "rate": f"the rate times {last.value:.2g}"}[last.adjustment]  # fmt: skip
    why = f"the last time with {done}"
    return [Evidence("rescues", float(len(case.rescues)), "times", (None, 0.0), why)]


def _ran_away(outcome: TrialResult) -> bool:
    """Whether a trial did: to numbers that are not finite, or far above guessing."""
    far = divergence_threshold(outcome.vocab_size)
    return outcome.diverged_step is not None or outcome.validation_loss > far


def _try(case: RecordedRun, suspect: RankedCause, readings: Measurements, allowed: float, told: Told) -> DivergenceTrials:
    base, step = control_config(case), round(_first_bad(case).value) - 1
    lanes = [Treatment("diverged", change) for change in suspect.cause.treatments(case.config, readings)]
    race = TrialSeries(case, base, max(case.total_steps, 1), time.monotonic() + allowed, told)
    if seconds_for(race, [None, *lanes]) > WHOLE_RUNS * allowed:
        race.steps = min(race.steps, max(round(LENGTH_PAST_FAILURE * step), LEAST_STEPS))
    steps = race.steps
    # The mildest first, as many as there are cores; the rest while there is time.
    together = max(2, num_parallel_trials(base))
    wanted: list[Treatment | None] = [None, *lanes]
    seconds = seconds_for(race, wanted[:together])
    told(f"trying up to {len(lanes)} changes, the first for about {format_duration(seconds)}", 0.0)
    for place in range(0, len(wanted), together):
        some = wanted[place : place + together]
        if place and not fits_in_budget(race, some):
            break
        race.run([(lane, race.seed) for lane in some], "trying")
    control = race.results[None, race.seed]
    came_past = [
        (lane, outcome)
        for lane in lanes
        if (outcome := race.results.get((lane, race.seed))) and not _ran_away(outcome)
    ]
    notes = []
    left_out = sum((x, race.seed) not in race.results and x not in race.invalid_treatments for x in lanes)
    if left_out:
        notes.append(f"{left_out} of {len(lanes)} changes were not tried: --budget allows no more")
    again = _ran_away(control)
    if not again:
        notes.append(
            f"the same settings did not diverge again within {steps} steps of a schedule of that "
            "length: it hangs on the length, or on chance"
        )
    if not came_past:
        return DivergenceTrials(again=again, notes=(*notes, "none of the changes tried came past it"))
    best = min(best_validation_point(o)[0] for _, o in came_past)
    lane, outcome = next((x, o) for x, o in came_past if best_validation_point(o)[0] <= best * (1 + LOSS_TOLERANCE_NATS))
    trial = PairedTrial(
        metric="held-out loss, nats per token",
        change=lane.change.label,
        control=best_validation_point(control)[0],
        treatment=best_validation_point(outcome)[0],
        loss_reduction=best_validation_point(control)[0] - best_validation_point(outcome)[0],
        ci95=None,
        p_holm=1.0,
        seeds=1,
        tokens=outcome.tokens,
        run_fraction=steps / max(case.total_steps, 1),
        seconds=race.seconds,
        cost_factor=outcome.seconds / max(control.seconds, 1e-9),
    )
    return DivergenceTrials(trial, lane, again, tuple(notes))
