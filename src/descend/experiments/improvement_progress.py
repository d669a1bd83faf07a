"""An improvement over time: what was expected of it, and how good its best model was when."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from descend.errors import UserError
from descend.experiments.improvement import ExpectedResult, Improvement
from descend.planner.axes import axes_for
from descend.planner.make_plan import CorpusPlan
from descend.planner.plan import MIN_MINUTES, choose_config
from descend.planner.scaling_law import load_scaling_law
from descend.runs.event_log import read_events
from descend.runs.events import Epoch
from descend.runs.run_files import is_run_folder

FORECAST_FRACTIONS = (0.1, 0.15, 0.2, 0.3, 0.4, 0.55, 0.7, 0.85, 1.0)
"""Of the time: denser where the loss falls fast."""


class ProgressPoint(msgspec.Struct, frozen=True, kw_only=True):
    """A model, finished or in training, at one moment of an improvement."""

    seconds: float
    """From the beginning of the improvement."""
    run: str
    bits_per_byte: float
    best: float
    """Lowest bits per byte of a model so far."""
    is_final: bool
    """Evaluated on the bytes that all models share; else on the validation set after an epoch."""


def forecast_over_time(
    planned: CorpusPlan, began_seconds: float, end_seconds: float
) -> list[ExpectedResult]:
    """Return what one planned training would reach by each moment until `end_seconds`.

    The training begins `began_seconds` after the beginning of the improvement. Moments too early
    for any training are left out.
    """
    law, axes, plan = load_scaling_law(), axes_for(planned.fixed), planned.plan
    overhead = (end_seconds - began_seconds) / 60 - plan.minutes
    points = []
    for fraction in FORECAST_FRACTIONS:
        minutes = fraction * (end_seconds - began_seconds) / 60 - overhead
        if minutes < MIN_MINUTES:
            continue
        try:
            expected = choose_config(plan.sample, plan.rates, law, minutes, None, axes).predicted
        except UserError:
            continue
        points.append(ExpectedResult(
            seconds=round(began_seconds + 60 * (minutes + overhead), 1),
            bits_per_byte=expected.bits_per_byte, interval=expected.bits_per_byte_interval,
        ))  # fmt: skip
    return points


def recorded_epochs(run: Path) -> list[Epoch]:
    """Return the epochs in the event log of `run`."""
    return [event for event in read_events(run) if isinstance(event, Epoch)]


def progress_points(
    improvement: Improvement,
    folder: Path,
    read_epochs: Callable[[Path], Sequence[Epoch]] = recorded_epochs,
) -> list[ProgressPoint]:
    """Return every evaluation of a model below `folder`, in order of time, with the best one so
    far.

    Evaluations after an epoch count for `best` only until the model is finished and evaluated on
    the common bytes. `read_epochs` gives the epochs of a run folder.
    """
    finished = {model.run for model in improvement.candidates}
    moments = [
        (model.elapsed_seconds, model.run, model.bits_per_byte, True)
        for model in improvement.candidates
    ]
    moments += [
        (seconds, run, value, False)
        for run, began in improvement.trainings.items()
        for seconds, value in _epoch_results(folder / Path(run).name, began, read_epochs)
    ]
    points: list[ProgressPoint] = []
    best: float | None = None
    for seconds, run, value, is_final in sorted(moments):
        if is_final or run not in finished:
            best = value if best is None else min(best, value)
        points.append(ProgressPoint(
            seconds=seconds, run=run, bits_per_byte=value, is_final=is_final,
            best=value if best is None else best,
        ))  # fmt: skip
    return points


def _epoch_results(
    run: Path, began: float, read_epochs: Callable[[Path], Sequence[Epoch]]
) -> list[tuple[float, float]]:
    """Return seconds and bits per byte after each epoch of `run`, which began at `began`."""
    if run.is_symlink() or not is_run_folder(run):
        return []
    results, seconds = [], began
    for epoch in read_epochs(run):
        seconds += epoch.seconds
        results.append((round(seconds, 1), epoch.bits_per_byte))
    return results


def waterfall_steps(improvement: Improvement) -> list[Mapping[str, float | str]]:
    """Return how the loss came down from the first model to the best: a step for each better model.

    Each step has `reason`, `gain`, `start` and `end` in bits per byte. The gains add up.
    """
    first = next(iter(improvement.candidates), None)
    if first is None:
        return []
    steps: list[Mapping[str, float | str]] = []
    value = first.bits_per_byte
    for part in improvement.contributions:
        if part.measured_by == "full runs" and part.gain > 0:
            end = value - part.gain
            steps.append({"reason": part.reason, "gain": part.gain, "start": value, "end": end})
            value = end
    return steps
