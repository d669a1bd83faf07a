"""Several models of one recipe that teach another: how many, and their configurations."""

from __future__ import annotations

from pathlib import Path

from descend.config import RunConfig, make_config
from descend.experiments.improvement import Improvement, Origin, TrainedModel
from descend.runs.run_files import read_info

MIN_TEACHERS, MAX_TEACHERS = 2, 8

TEACHER_COST = 0.4
"""Seconds of one teacher's predictions, as a fraction of a training without them: its forward
passes, where a step makes one forward and one backward pass (docs/recipe.md)."""

SETUP_SECONDS = 8.0
"""From one training to the first step of the next."""


def count_teachers(seconds: float, training_seconds: float, known: int) -> int:
    """Count the teachers for whose training, and for that of their student, `seconds` are enough.

    `training_seconds`: of one training without teachers. `known`: teachers that are trained
    already. 0 if there is no time for `MIN_TEACHERS`.
    """
    for count in range(MAX_TEACHERS, MIN_TEACHERS - 1, -1):
        trainings = max(0, count - known) + 1 + TEACHER_COST * count
        setups = (max(0, count - known) + 1) * SETUP_SECONDS
        if trainings * training_seconds + setups <= seconds:
            return count
    return 0


def list_teachers(improvement: Improvement, base: TrainedModel) -> list[TrainedModel]:
    """The trained models that have the recipe of `base`, which is the first of them."""
    same = [
        c for c in improvement.candidates
        if c.origin == "another seed" and c.settings == base.settings
    ]  # fmt: skip
    return [base, *same][:MAX_TEACHERS]


def seed_config(base: Path, number: int, minutes: float, save_dir: Path) -> RunConfig:
    """Configure the run in `base` once more with another seed, on the same split of the text."""
    requested = read_info(base).requested_config
    config = make_config(requested)
    keys = {
        "seed": config.seed + number, "split_seed": config.data_seed, "minutes": minutes,
        "save_dir": str(save_dir),
    }  # fmt: skip
    return make_config(requested | keys)


def student_config(
    base: Path, teachers: list[TrainedModel], minutes: float, save_dir: Path
) -> RunConfig:
    """Configure the run in `base` once more, with a seed of its own and with `teachers`."""
    config = seed_config(base, MAX_TEACHERS, minutes, save_dir)
    return make_config(config.model_dump() | {"teachers": [t.run for t in teachers]})


def find_origin(run: Path, improvement: Improvement) -> Origin:
    """Why `run`, which an earlier call began, was trained."""
    config = make_config(read_info(run).requested_config)
    planned = next((c for c in improvement.candidates if c.origin == "planned"), None)
    if config.teachers:
        return "distilled"
    if planned and config.seed != make_config(read_info(Path(planned.run)).requested_config).seed:
        return "another seed"
    return "planned"
