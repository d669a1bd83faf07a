"""Train, load, and diagnose one model: `run`, `run_on_model`, `load`, `resume`, `diagnose`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from descend.api.call_options import Config, default_console, resolve_call_config, select_console
from descend.api.model import Model, load
from descend.api.planned_training import resume_models, train_plan
from descend.api.run_training import run_and_load, train_planned
from descend.config import RunConfig
from descend.config_sources import ResolvedConfig, explicit_keys
from descend.data.corpus_stats import CorpusStats, compute_corpus_stats
from descend.diagnosis.diagnosis_result import DEFAULT_BUDGET, Diagnosis
from descend.diagnosis.run_diagnosis import diagnose_run, save_diagnosis
from descend.diagnosis.trial_reports import TrialReport, TrialReporter
from descend.interop.trackers.track_run import check_trackers
from descend.launch_environment import is_follower
from descend.planner.make_plan import make_corpus_plan
from descend.planner.plan import TextTooShortError
from descend.progress import ProgressCallback, ignore_progress
from descend.report.text.live_progress import show_line, show_prepared, stage_progress
from descend.report.text.plan_summary import time_plan_lines
from descend.runs.planned_models import find_models
from descend.runs.run_files import is_run_folder
from descend.runs.run_folder import check_model_folder, create_run_folder
from descend.training.assembly import tokenize_corpus
from descend.training.continuation import continuation_config
from descend.training.follower import follow_run
from descend.training.foreign_model import read_parent_info
from descend.training.num_processes import find_lost_run
from descend.training.training_run import create_run, resume_run

if TYPE_CHECKING:
    from os import PathLike


def run(config: Config = None, /, **keys: Any) -> Model:
    """Train a model: `run()`, `run({"epoch": 20})`, `run(epoch=20)`, `run(RunConfig(...))`.

    `preset` may be given among the keys. Progress goes to standard error; raises `ConfigError`,
    `CorpusError` and the other errors of `descend.errors`.
    """
    began = time.perf_counter()
    return train_with_config(resolve_call_config(config, keys), default_console(), began=began)


def run_on_model(path: str | PathLike[str], config: Config = None, /, **keys: Any) -> Model:
    """Train the model in folder `path` further, into a new folder; its shape cannot change."""
    return continue_run(Path(path), explicit_keys(config) | keys, default_console())


def measure_corpus(config: RunConfig) -> CorpusStats:
    """Return the corpus of `config` in numbers."""
    return compute_corpus_stats(tokenize_corpus(config, begin=True))


def train_with_config(
    resolved: ResolvedConfig, console: Console | None = None, *, watch: bool = False,
    began: float | None = None, track: Sequence[str] = (),
) -> Model:  # fmt: skip
    """Train as `resolved` says, drawing on `console`; `watch`: the diagnostic metrics too.

    With `minutes` what is not set is planned for them; they count from `began` (by
    `time.perf_counter`), or from now. `track`: names of `TRACKERS` that the metrics go to.
    """
    check_trackers(track)
    if is_follower():
        return load(follow_run())
    console = select_console(console, resolved.config)
    if lost_run := find_lost_run(resolved.config.save_dir):
        return resume(lost_run, console)
    if resolved.config.minutes is not None:
        return _train_within(resolved, console, began or time.perf_counter(), watch, track)
    folder = create_run_folder(resolved.config.save_dir)
    progress = stage_progress(console) if console else ignore_progress
    training_run = create_run(
        resolved.config, folder, preset=resolved.preset, progress=progress,
        on_prepared=show_prepared(console) if console else None,
    )  # fmt: skip
    return run_and_load(training_run, console, watch=watch, has_prepared_lines=True, track=track)


def _train_within(
    settings: ResolvedConfig, console: Console | None, began: float, watch: bool,
    track: Sequence[str],
) -> Model:  # fmt: skip
    """Plan what `settings` leave open for their minutes, and train it."""
    config = settings.config
    assert config.minutes is not None
    create_run_folder(config.save_dir)  # what cannot be written is refused before the plan is made
    try:
        if console:
            show_line(console)("planning …")
        planned = make_corpus_plan(
            config.corpus_dir, config.minutes, settings=settings, began=began
        )
    except TextTooShortError:
        if console:
            show_line(console)("the text is too short to plan for: this is the default recipe")
        return train_planned(
            None, config, settings.preset, console, began, watch=watch, track=track
        )
    if console:
        for line in time_plan_lines(planned):
            show_line(console)(line)
    return train_plan(
        planned, config.save_dir, settings.preset, console, began, watch=watch, track=track
    )


def continue_run(
    parent: Path, changes: dict[str, Any], console: Console | None = None,
    file: Path | None = None, *, watch: bool = False, track: Sequence[str] = (),
) -> Model:  # fmt: skip
    """Train the model in `parent` further with `changes`, and those in `file`, to its settings.

    `watch` and `track`: as in `train_with_config`.
    """
    check_trackers(track)
    if is_follower():
        return load(follow_run())
    check_model_folder(parent)
    config = continuation_config(parent, changes, file)
    console = select_console(console, config)
    if lost_run := find_lost_run(config.save_dir):
        return resume(lost_run, console)
    folder = create_run_folder(config.save_dir)
    progress = stage_progress(console) if console else ignore_progress
    preset = read_parent_info(parent).preset
    run = create_run(
        config, folder, preset=preset, parent=parent, progress=progress,
        on_prepared=show_prepared(console) if console else None,
    )  # fmt: skip
    return run_and_load(run, console, watch=watch, has_prepared_lines=True, track=track)


def resume(
    path: str | PathLike[str], console: Console | None = None, *, ends: float | None = None,
    num_processes: int | None = None,
    track: Sequence[str] = (),
) -> Model:  # fmt: skip
    """Continue the interrupted run in folder `path` where it stopped.

    `ends`: latest end of a run with `minutes`, on the clock of `time.perf_counter`.
    `num_processes`: as many as before by default, or those of torchrun. `track`: names of trackers.
    """
    check_trackers(track)
    if is_follower():
        return load(follow_run())

    def resume_one(folder: Path) -> Model:
        progress = stage_progress(console) if console else ignore_progress
        run = resume_run(folder, progress, ends, num_processes)
        return run_and_load(run, console, track=track)

    models = find_models(Path(path))
    if models and not is_run_folder(models.last):
        return resume_models(models, resume_one, console, track)
    return resume_one(Path(path))


def diagnose(
    path: str | PathLike[str],
    *,
    budget: float = DEFAULT_BUDGET,
    min_seconds: float | None = None,
    proof: bool = True,
    on_trial: Callable[[TrialReport], None] | None = None,
    console: Console | None = None,
) -> Diagnosis:
    """Find out why the run in folder `path` does not learn better, and store the answer there.

    Trials take at most the fraction `budget` of the run's own time, and at least `min_seconds`
    (default: what is left of a minute for a run under 15 seconds, of three minutes for others).
    `proof=False` runs no trials. `on_trial` is called with each finished trial and its effect.
    """
    progress: ProgressCallback = stage_progress(console) if console else ignore_progress
    if on_trial is not None:
        progress = TrialReporter(progress, on_trial)
    diagnosis = diagnose_run(
        Path(path), budget=budget, min_seconds=min_seconds, proof=proof, on_progress=progress
    )
    return save_diagnosis(diagnosis)
