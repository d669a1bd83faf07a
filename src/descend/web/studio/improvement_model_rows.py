"""The models of an improvement as the page shows them: what each is, and how its training goes."""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path
from typing import Any

from descend.errors import RunFolderError
from descend.experiments.improvement import (
    Improvement,
    TrainedModel,
    find_origin,
    gain_interval,
)
from descend.report.text.improvement_summary import describe_origin
from descend.runs.recorded_run import RecordedRun
from descend.runs.run_files import is_run_folder
from descend.runs.run_length import planned_steps
from descend.web.studio.feed import FeedCache, RunFeed


def model_fields(
    improvement: Improvement, folder: Path, feeds: FeedCache, *, is_active: bool
) -> list[dict[str, Any]]:
    """Describe every model below `folder`, in the order of training, that in training as well.

    `is_active` says whether the process of the improvement runs.
    """
    models = {model.run: model for model in improvement.candidates}
    moments = {run: model.elapsed_seconds for run, model in models.items()}
    moments |= improvement.trainings
    runs = sorted(moments, key=lambda run: moments[run])
    rows, best = [], None
    for run in runs:
        is_last = is_active and run == runs[-1]
        row = _model(improvement, run, folder, feeds, is_last=is_last)
        model = models.get(run)
        row |= _gain(best, model)
        if model is not None and (best is None or model.bits_per_byte < best.bits_per_byte):
            best = model
        rows.append(row)
    for row in rows:
        row["is_best"] = best is not None and row["run"] == best.run
    return rows


def _model(
    improvement: Improvement, run: str, folder: Path, feeds: FeedCache, *, is_last: bool
) -> dict[str, Any]:
    """Return a model: what it is, its teachers, its state, and its validation loss after each
    epoch."""
    model = next((one for one in improvement.candidates if one.run == run), None)
    place = folder / Path(run).name
    is_ours = run in improvement.trainings and not place.is_symlink() and is_run_folder(place)
    recorded = _open(place) if is_ours else None
    teachers = [] if recorded is None else [Path(t).name for t in recorded.config.teacher_folders]
    settings = {} if recorded is None else recorded.metadata.resolved_config
    origin = find_origin(improvement, settings) if model is None else model.origin
    feed = feeds.feed(place) if recorded is not None else None
    return {
        "run": run, "name": Path(run).name, "origin": origin, "teachers": teachers,
        "sentence": describe_origin(origin, teachers),
        "state": _state(model, feed, is_last=is_last),
        "bits_per_byte": None if model is None else model.bits_per_byte,
        "epochs": [] if feed is None else _epochs(feed),
        "progress": None if feed is None or model is not None else _progress(recorded, feed),
    }  # fmt: skip


def _open(place: Path) -> RecordedRun | None:
    run = RecordedRun(place)
    try:
        _ = run.config
    except RunFolderError:  # its run.json is not written yet, or damaged
        return None
    return run


def _state(model: TrainedModel | None, feed: RunFeed | None, *, is_last: bool) -> str:
    if model is not None:
        return "finished" if model.origin != "interrupted" else "stopped"
    if not is_last:
        return "stopped"
    if feed is None or not feed.points:
        return "starting"
    return "running" if feed.stopped is None else "measuring"


def _epochs(feed: RunFeed) -> list[dict[str, float]]:
    """Return seconds of training and bits per byte after each epoch."""
    seconds = accumulate(epoch.seconds for epoch in feed.epochs)
    return [
        {"seconds": round(time, 1), "bits_per_byte": epoch.bits_per_byte}
        for time, epoch in zip(seconds, feed.epochs, strict=True)
    ]


def _progress(recorded: RecordedRun | None, feed: RunFeed) -> dict[str, Any] | None:
    """Return steps done, all steps, and seconds left, as far as they are known."""
    if recorded is None or not feed.points:
        return None
    total = feed.end_step or planned_steps(recorded.config, recorded.corpus_count("train_tokens"))
    return {
        "step": feed.step, "total_steps": total, "fraction": min(1.0, feed.step / max(total, 1)),
        "seconds_left": feed.seconds_left(total),
        "loss": feed.points[-1][2],
    }  # fmt: skip


def _gain(best: TrainedModel | None, model: TrainedModel | None) -> dict[str, Any]:
    """By how much `model` is better than the best one before it, with the 95 % interval."""
    if best is None or model is None:
        return {"gain": None, "ci95": None}
    return {"gain": best.bits_per_byte - model.bits_per_byte, "ci95": gain_interval(best, model)}
