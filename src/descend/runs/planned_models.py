"""The models that one plan trains one after the other: what it says of them (plan.json), and where
they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from descend.artifacts import PLAN
from descend.errors import RunFolderError
from descend.guard import decode_json, read_regular
from descend.runs.atomic_write import write_file_atomic
from descend.runs.run_files import is_run_folder

TEACHER_SUFFIX = "_teacher_"
"""Between the name of a run and the number of a model that it learns from."""


class PlannedModels(msgspec.Struct, frozen=True):
    """What `resume` has to know of a plan."""

    minutes: float
    """From the start to the saved model."""
    num_models: int = 1
    """Models that are trained one after the other."""
    final_bits_per_byte: float | None = None
    """Bits per byte of validation text expected of the last of them."""
    config: dict[str, Any] = {}
    """What was planned and what the user set, by key; not what the recipe chooses for them."""


def write_plan(folder: Path, plan: dict[str, Any]) -> None:
    """Write `plan` to the run folder."""
    write_file_atomic(folder / PLAN, msgspec.json.format(msgspec.json.encode(plan)))


def read_planned_models(folder: Path) -> PlannedModels | None:
    """Read what was planned for the run in `folder`; None without a plan.

    Raises `RunFolderError` for a damaged file.
    """
    path = folder / PLAN
    if not path.exists():
        return None
    try:
        planned: PlannedModels = decode_json(read_regular(path), PlannedModels)
        return planned
    except (msgspec.DecodeError, OSError) as problem:
        raise RunFolderError(
            str(path), f"a damaged file ({problem})", "what descend wrote there",
            "delete it; the run goes on without its plan",
        ) from None  # fmt: skip


def teacher_folder(save_dir: Path, number: int) -> Path:
    """Return the folder of a model that the one in `save_dir` learns from: beside it."""
    return save_dir.with_name(f"{save_dir.name}{TEACHER_SUFFIX}{number}")


class ModelFolders(NamedTuple):
    """Folders of models that are trained one after the other."""

    last: Path
    """Of the last one; it may not be there yet."""
    teachers: list[Path]
    """Of those before it, as far as they were begun."""


def find_models(run: Path) -> ModelFolders | None:
    """Find the models that were planned together with the one in folder `run`.

    None for a run that was planned alone.
    """
    name, is_teacher, number = run.name.rpartition(TEACHER_SUFFIX)
    last = run.with_name(name) if is_teacher and number.isdigit() else run
    teachers: list[Path] = []
    while is_run_folder(folder := teacher_folder(last, len(teachers) + 1)):
        teachers.append(folder)
    planned = read_planned_models(teachers[0]) if teachers else None
    if planned is None or planned.num_models == 1:
        return None
    return ModelFolders(last, teachers)
