"""The configuration of a model that learns from earlier ones of the same recipe."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from descend.config import RunConfig, make_config
from descend.experiments.improvement import Improvement, Origin, TrainedModel
from descend.planner.generations import MAX_TEACHERS
from descend.runs.run_files import read_info


def choose_teachers(improvement: Improvement, base: TrainedModel) -> list[str]:
    """Choose the runs that the next generation learns from: the latest of `base` and after it."""
    later = [c.run for c in improvement.candidates if c.origin == "distilled"]
    return [base.run, *later][-MAX_TEACHERS:]


def generation_config(
    base: Path, teachers: Sequence[str], number: int, minutes: float, save_dir: Path
) -> RunConfig:
    """Configure the run in `base` again, with `teachers`, and another seed on the same split."""
    requested = read_info(base).requested_config
    config = make_config(requested)
    return make_config(requested | {
        "seed": config.seed + number, "split_seed": config.data_seed, "minutes": minutes,
        "teachers": list(teachers), "save_dir": str(save_dir),
    })  # fmt: skip


def find_origin(run: Path) -> Origin:
    """Find why `run`, which an earlier call of `improve` began, was trained."""
    return "distilled" if read_info(run).requested_config.get("teachers") else "planned"
