"""Models of one recipe, of which each learns from those before it ("born-again" networks,
Furlanello et al. 2018)."""

from __future__ import annotations

from pathlib import Path

from descend.config import RunConfig, make_config
from descend.experiments.improvement import Improvement, Origin, TrainedModel
from descend.runs.run_files import read_info

MAX_TEACHERS = 2
"""The latest models that the next one learns from."""

TEACHER_COST = 0.4
"""Seconds of one teacher's predictions, as a fraction of a training without them: its forward
passes, where a step makes one forward and one backward pass (docs/recipe.md)."""


def choose_teachers(improvement: Improvement, base: TrainedModel) -> list[TrainedModel]:
    """Choose the models that the next generation learns from: the latest of `base` and after it."""
    later = [c for c in improvement.candidates if c.origin == "distilled"]
    return [base, *later][-MAX_TEACHERS:]


def generation_seconds(base: TrainedModel, num_teachers: int) -> float:
    """Estimate the seconds of the next training, from those of `base` without teachers."""
    return base.seconds * (1 + TEACHER_COST * num_teachers)


def generation_config(
    base: Path, teachers: list[TrainedModel], number: int, minutes: float, save_dir: Path
) -> RunConfig:
    """Configure the run in `base` again, with `teachers`, and another seed on the same split."""
    requested = read_info(base).requested_config
    config = make_config(requested)
    return make_config(requested | {
        "seed": config.seed + number, "split_seed": config.data_seed, "minutes": minutes,
        "teachers": [t.run for t in teachers], "save_dir": str(save_dir),
    })  # fmt: skip


def find_origin(run: Path) -> Origin:
    """Find why `run`, which an earlier call began, was trained."""
    return "distilled" if read_info(run).requested_config.get("teachers") else "planned"
