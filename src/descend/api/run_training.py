"""Train a run that was created, with what a console shows of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from descend.api.model import Model
from descend.config import RunConfig
from descend.interop.trackers.track_run import track_run
from descend.planner.make_plan import CorpusPlan
from descend.progress import ignore_progress
from descend.report.run_progress import show_progress
from descend.report.text.live_progress import (
    show_line,
    show_prepared,
    show_run_header,
    stage_progress,
)
from descend.report.text.metrics_line import with_metrics_lines
from descend.report.text.plan_summary import compare_with_prediction, time_used_line
from descend.runs.events import Event
from descend.runs.planned_models import write_plan
from descend.runs.run_folder import create_run_folder
from descend.training.running_clock import running_clock
from descend.training.trainer import run_training
from descend.training.training_run import TrainingRun, create_run


def train_planned(
    planned: CorpusPlan | None, config: RunConfig, preset: str, console: Console | None,
    began: float | None, *, watch: bool = False, track: Sequence[str] = (),
) -> Model:  # fmt: skip
    """Train `config`, which was `planned`, and show what it took; its minutes count from `began`.

    None for `planned`: no plan could be made. None for `began`: the minutes count from now.
    """
    model = train_config(config, preset, console, began, planned=planned, watch=watch, track=track)
    if console and began is not None:
        plan = None if planned is None else planned.plan
        line = time_used_line(plan, running_clock() - began, config.minutes)
        if planned is not None:
            line += f"; {compare_with_prediction(planned.plan, model.summary)}"
        show_line(console)(line)
    return model


def train_config(
    config: RunConfig, preset: str, console: Console | None, began: float | None, *,
    planned: CorpusPlan | None = None, watch: bool = False, track: Sequence[str] = (),
) -> Model:  # fmt: skip
    """Train `config`, whose minutes count from `began`; `planned` is stored in its folder."""
    folder = create_run_folder(config.save_dir)
    progress = stage_progress(console) if console else ignore_progress
    ends = None if began is None or config.minutes is None else began + 60 * config.minutes
    run = create_run(
        config, folder, preset=preset, progress=progress, ends=ends,
        on_prepared=show_prepared(console) if console else None,
    )  # fmt: skip
    return run_and_load(
        run, console, watch=watch, has_prepared_lines=True, track=track, planned=planned
    )


def run_and_load(
    training_run: TrainingRun, console: Console | None, *, watch: bool = False,
    has_prepared_lines: bool = False, track: Sequence[str] = (),
    planned: CorpusPlan | None = None,
) -> Model:  # fmt: skip
    """Train `training_run` to its end; `watch`: show the diagnostic metrics too."""
    if console:
        show_run_header(training_run, console, has_prepared_lines=has_prepared_lines)
    records = run_training(training_run)
    if planned is not None:
        records = _store_plan(records, training_run.folder, planned)
    if console and watch:
        steps = training_run.plan.batches.steps(1)
        records = with_metrics_lines(
            records,
            steps,
            training_run.shape.vocab_size,
            show_line(console),
            training_run.plan.config.optimizer,
        )
    with track_run(training_run.folder, track):
        for _ in show_progress(records, training_run, console) if console else records:
            pass
    training_run.state.model.eval()
    return Model(training_run.folder, training_run.state.model, training_run.store.tokenizer)


def _store_plan(records: Iterator[Event], folder: Path, planned: CorpusPlan) -> Iterator[Event]:
    """Pass `records` on. The first one says that the folder is there: `planned` goes into it."""
    for record in records:
        write_plan(folder, planned.as_json())
        yield record
        break
    yield from records
