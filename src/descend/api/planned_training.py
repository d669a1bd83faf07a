"""Train what was planned for a time limit: one model, or several that learn from each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from descend.api.generation_config import generation_config, measure_first_model
from descend.api.model import Model, load
from descend.api.run_training import train_config, train_planned
from descend.planner.generations import plan_later_models
from descend.planner.make_plan import CorpusPlan, plan_config
from descend.report.text.generations_summary import (
    generation_line,
    generations_end_line,
)
from descend.report.text.live_progress import show_line
from descend.runs.planned_models import ModelFolders, read_planned_models, teacher_folder
from descend.runs.run_files import is_finished, read_info
from descend.runs.run_folder import create_run_folder, read_summary
from descend.training.running_clock import running_clock


def train_plan(
    planned: CorpusPlan, save_dir: str | None, preset: str, console: Console | None,
    began: float | None, *, watch: bool = False, track: Sequence[str] = (),
) -> Model:  # fmt: skip
    """Train `planned` into `save_dir`; its minutes count from `began` (by `running_clock`).

    Where the text leaves time, the first models go to folders beside it, and each later one learns
    from their predictions too.
    """
    if began is None or planned.num_models == 1:
        config = plan_config(planned, save_dir)
        return train_planned(planned, config, preset, console, began, watch=watch, track=track)
    folder = create_run_folder(save_dir)
    first = plan_config(planned, str(teacher_folder(folder, 1)))
    _show(console, generation_line(1, planned.num_models, 0))
    model = train_config(first, preset, console, began, planned=planned, watch=watch, track=track)
    return train_later_models(folder, [model.folder], console, began, watch=watch, track=track)


def train_later_models(
    save_dir: Path, models: list[Path], console: Console | None, began: float, *,
    watch: bool = False, track: Sequence[str] = (),
) -> Model:  # fmt: skip
    """Train the models that the plan of the first of `models` wants after them.

    The best of all is in `save_dir` at the end: the last one as a rule.
    """
    planned = read_planned_models(models[0])
    assert planned is not None
    preset, first = read_info(models[0]).preset, measure_first_model(models[0])
    ends = began + 60 * planned.minutes
    models = list(models)
    while later := plan_later_models(
        first, ends - running_clock(), len(models), planned.num_models
    ):
        number, is_last = len(models), len(later) == 1
        folder = save_dir if is_last else teacher_folder(save_dir, number + 1)
        teachers = [str(t) for t in models[-later[0].num_teachers :]]
        now = running_clock()
        minutes = (ends - now) / 60
        config = generation_config(models[0], teachers, number, later[0].length, minutes, folder)
        _show(console, generation_line(number + 1, number + len(later), len(teachers)))
        train_config(config, preset, console, now, watch=watch, track=track)
        models.append(folder)
        if is_last:  # it may have taken less than planned
            break
    return _finish(save_dir, models, planned.final_bits_per_byte, console, began)


def resume_models(
    models: ModelFolders, resume_one: Callable[[Path], Model], console: Console | None,
    track: Sequence[str] = (),
) -> Model:  # fmt: skip
    """Finish the latest of the models with `resume_one`, and train those that follow it."""
    if not is_finished(models.teachers[-1]):
        resume_one(models.teachers[-1])
    spent = sum(read_summary(folder).seconds for folder in models.teachers)
    began = running_clock() - spent
    return train_later_models(models.last, models.teachers, console, began, track=track)


def _finish(
    save_dir: Path, models: list[Path], expected: float | None, console: Console | None,
    began: float,
) -> Model:  # fmt: skip
    """Bring the best of `models` to `save_dir`, and show what they came to."""
    reached = [read_summary(m).bits_per_byte for m in models]
    best = reached.index(min(reached))
    if models[best] != save_dir:
        if save_dir in models:
            save_dir.rename(teacher_folder(save_dir, len(models)))
        models[best].rename(save_dir)
    _show(console, generations_end_line(running_clock() - began, reached, best, expected))
    return load(save_dir)


def _show(console: Console | None, line: str) -> None:
    if console:
        show_line(console)(line)
