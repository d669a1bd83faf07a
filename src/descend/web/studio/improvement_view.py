"""An improvement as the page shows it: forecast, models over time, trials, and the waterfall."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec

from descend.artifacts import IMPROVEMENT, RUN_FILE
from descend.experiments.experiment_folder import read_record
from descend.experiments.improvement import Contribution, ExpectedResult, Improvement
from descend.experiments.improvement_progress import progress_points, waterfall_steps
from descend.guard import name_writer
from descend.report.text.diagnosis_summary import assignments
from descend.report.text.improvement_summary import text_lines
from descend.runs.annotation import RunAnnotation, write_annotation
from descend.runs.atomic_write import disk_error
from descend.runs.run_files import is_finished
from descend.units import humanize_name
from descend.web.studio.feed import FeedCache
from descend.web.studio.http_errors import NoSuchItemError, NotNowError
from descend.web.studio.improvement_model_rows import model_fields
from descend.web.studio.workspace import Workspace


def load_improvement(workspace: Workspace, name: str) -> Improvement | None:
    """Return the improvement of the run `name` so far; None before its first result."""
    folder = workspace.improvement_path(name)
    if not (folder / IMPROVEMENT).is_file():
        return None
    return read_record(folder, IMPROVEMENT, Improvement)


def improvement_fields(
    workspace: Workspace, name: str, feeds: FeedCache, *, is_active: bool = False
) -> dict[str, Any]:
    """Return what is known of the improvement of the run `name`; `feeds` read its trainings.

    `is_active` says whether its process runs.
    """
    improvement = load_improvement(workspace, name)
    if improvement is None:
        return {"exists": False}
    best, first = improvement.best, next(iter(improvement.candidates), None)
    notes = improvement.text_notes
    return {
        "exists": True,
        "stopped": improvement.stopped,
        "seconds": improvement.seconds,
        "first": None if first is None else first.bits_per_byte,
        "best": None if best is None else {
            "bits_per_byte": best.bits_per_byte, "origin": best.origin,
            "is_new": best.origin != "your run",
        },
        "forecast": msgspec.to_builtins(fitting_forecast(improvement)),
        "has_other_forecast": bool(improvement.forecast) and not fitting_forecast(improvement),
        "points": msgspec.to_builtins(progress_points(
            improvement, workspace.improvement_path(name), lambda run: feeds.feed(run).epochs
        )),
        "models": model_fields(
            improvement, workspace.improvement_path(name), feeds, is_active=is_active
        ),
        "trials": [
            {
                "title": humanize_name(trial.cause), "change": assignments(trial.changes),
                "effect": trial.gain, "ci95": trial.ci95, "is_significant": trial.accepted,
                "pruned": trial.pruned,
            }
            for trial in improvement.trials
        ],
        "waterfall": [
            {**step, "reason": humanize_name(str(step["reason"]))}
            for step in waterfall_steps(improvement)
        ],
        "changes": [_contribution(part) for part in improvement.contributions],
        "setting_effects": [_contribution(part) for part in improvement.setting_effects],
        "expectations": msgspec.to_builtins(improvement.expectations),
        "notes": [] if notes is None else text_lines(notes),
    }  # fmt: skip


def fitting_forecast(improvement: Improvement) -> list[ExpectedResult]:
    """Return the forecast; empty where the run itself came out below it: it rests on other texts,
    and says nothing of this one."""
    forecast, first = improvement.forecast, next(iter(improvement.candidates), None)
    if first is not None and forecast and first.bits_per_byte < forecast[-1].interval[0]:
        return []
    return forecast


def _contribution(part: Contribution) -> dict[str, Any]:
    low, high = part.ci95 or (part.gain, part.gain)
    return {
        "title": humanize_name(part.reason), "change": assignments(part.changes),
        "effect": part.gain, "ci95": part.ci95, "measured_by": part.measured_by,
        "is_significant": part.ci95 is not None and (low > 0 or high < 0),
    }  # fmt: skip


def keep_best_model(workspace: Workspace, name: str, taken: set[str]) -> str:
    """Copy the best model of the improvement of `name` among the runs; its new name.

    The model of the run itself is not copied. Raises `NoSuchItemError` without a better model,
    `NotNowError` for a folder that is not one of the improvement.
    """
    improvement = load_improvement(workspace, name)
    best = None if improvement is None else improvement.best
    if best is None:
        raise NoSuchItemError(
            name, "an improvement without a model", "one with a model", "let it go on for longer"
        )
    if best.origin == "your run":
        return name
    source = workspace.improvement_path(name) / Path(best.run).name
    if best.origin == "interrupted":  # a model without a run: the run that it comes from
        source = _unfinished_run(workspace.improvement_path(name)) or source
    if source.is_symlink() or not (source / RUN_FILE).is_file():
        raise NotNowError(
            name, "a best model that is not in its folder", "one that is there", "improve it again"
        )
    target = workspace.runs / workspace.new_run_name(f"{name}-better", taken)
    aside = workspace.hidden / f"{target.name}.{name_writer()}.partial"
    try:
        shutil.copytree(source, aside, symlinks=True)
        write_annotation(aside, RunAnnotation(origin=name))
        target.parent.mkdir(exist_ok=True)
        aside.rename(target)
    except (OSError, shutil.Error) as problem:
        shutil.rmtree(aside, ignore_errors=True)
        raise disk_error(target, OSError(*problem.args)) from None
    return target.name


def _unfinished_run(folder: Path) -> Path | None:
    """Return the training in the improvement's `folder` that was interrupted."""
    runs = [p for p in folder.iterdir() if (p / RUN_FILE).is_file() and not is_finished(p)]
    return max(runs, key=lambda path: (path / RUN_FILE).stat().st_mtime, default=None)
