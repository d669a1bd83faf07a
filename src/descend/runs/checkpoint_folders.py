"""The checkpoints of a run: where they stand, in which order, and which are whole."""

from __future__ import annotations

import math
import re
from pathlib import Path

import msgspec

from descend.errors import RunFolderError
from descend.guard import decode_json, read_regular
from descend.runs.atomic_write import check_real_folder, damaged_files, verify_folder

CHECKPOINTS = "checkpoints"

_CHECKPOINT = re.compile(r"step_(\d+)")

STATE = "state.json"
"""File of a checkpoint: all of the state that is no tensor."""


class _RollbackCount(msgspec.Struct):
    num_rollbacks: int = 0


class _StateOrder(msgspec.Struct):
    """The part of state.json that orders checkpoints."""

    rollback_state: _RollbackCount = msgspec.field(default_factory=_RollbackCount)


def checkpoint_folder(folder: Path, step: int) -> Path:
    """Return where the checkpoint of `step` stands."""
    return folder / CHECKPOINTS / f"step_{step}"


def checkpoints(folder: Path) -> list[tuple[int, Path]]:
    """Return steps and folders of all checkpoints, in the order they were saved, verified or not.

    The order is that of (rollbacks so far, step): after a rollback a lower step is the newer one.
    Those whose state.json cannot be read come last. `RunFolderError` if checkpoints/ is a link,
    which may lead to those of another run.
    """
    place = folder / CHECKPOINTS
    try:
        check_real_folder(place)
    except OSError as problem:
        raise RunFolderError(
            str(place), problem.strerror or str(problem), "a folder of the run itself",
            "move the folder that it leads to here",
        ) from None  # fmt: skip
    ordered = sorted(
        (count_rollbacks(path), int(match[1]), path)
        for path in place.glob("step_*")
        if (match := _CHECKPOINT.fullmatch(path.name))
    )
    return [(step, path) for _, step, path in ordered]


def count_rollbacks(checkpoint: Path) -> float:
    """Return how often the run went back before `checkpoint`; infinity if that cannot be read."""
    try:
        check_real_folder(checkpoint)
        order = decode_json(read_regular(checkpoint / STATE), _StateOrder)
    except (OSError, msgspec.DecodeError):
        return math.inf
    return order.rollback_state.num_rollbacks


def latest_checkpoint(folder: Path) -> Path | None:
    """Return the newest checkpoint whose files are all as they were written, or None."""
    for _, path in reversed(checkpoints(folder)):
        if verify_folder(path):
            return path
    return None


def damaged_checkpoint_files(folder: Path, after: Path | None) -> list[Path]:
    """Return files that are missing or damaged in checkpoints newer than `after`, or in all of
    them."""
    newer = [path for _, path in checkpoints(folder)]
    if after is not None:
        newer = newer[newer.index(after) + 1 :]
    return [path / name for path in newer for name in damaged_files(path)]
