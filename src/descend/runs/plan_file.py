"""plan.json: what was planned for a run with a time limit, as `descend plan --json` prints it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from descend.artifacts import PLAN
from descend.errors import RunFolderError
from descend.guard import decode_json, read_regular
from descend.runs.atomic_write import write_file_atomic


class PlannedModels(msgspec.Struct, frozen=True):
    """What `resume` has to know of a plan."""

    minutes: float
    """From the start to the saved model."""
    num_models: int = 1
    """Models that are trained one after the other."""
    final_bits_per_byte: float | None = None
    """Bits per byte of validation text expected of the last of them."""


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
