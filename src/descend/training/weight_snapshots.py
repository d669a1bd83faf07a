"""When a run keeps a small copy of its weights, so that one can look back at how it learned."""

from __future__ import annotations

import shutil
from contextlib import suppress

from descend.errors import DiskWriteError
from descend.model.transformer import Transformer
from descend.runs.lock import LockedRunFolder
from descend.runs.saved_weights import save_snapshot
from descend.training.lora_adapters import has_adapters
from descend.training.process_group import is_sharded

FIRST_STEP = 8
"""The first after the start. From there each is twice as late: the loss falls about as a power of
the step, so equal factors show equal progress."""

MAX_SNAPSHOTS = 16
"""Of a run: the start and 15 doublings, to step 131,072."""

MAX_SNAPSHOT_BYTES = 160 * 2**20
"""Bytes of all snapshots of a run: 160 MiB. A network whose snapshots could take more keeps none:
that is one of more than 5.2 million parameters. The default network has 4.2 million."""

MIN_FREE_FACTOR = 8
"""Free bytes that the disk must have, in sizes of all snapshots: they are never what fills it."""

BYTES_PER_WEIGHT = 2


def is_snapshot_step(step: int) -> bool:
    """Return whether a run keeps its weights after `step`: 0, 8, 16, 32, … 131,072."""
    if step == 0:
        return True
    doublings, rest = divmod(step, FIRST_STEP)
    return not rest and doublings.bit_count() == 1 and doublings < 2 ** (MAX_SNAPSHOTS - 1)


def keep_snapshot(locked_folder: LockedRunFolder, step: int, model: Transformer) -> None:
    """Write the weights of `model` after `step`, if that is due, costs little, and all are trained.

    A disk that refuses is no reason to end a run: the snapshot is left out. Raises as
    `LockedRunFolder.check` where the folder is not the one that was locked.
    """
    if not is_snapshot_step(step) or has_adapters(model) or is_sharded(model):
        return
    size = MAX_SNAPSHOTS * BYTES_PER_WEIGHT * sum(p.numel() for p in model.parameters())
    if size > MAX_SNAPSHOT_BYTES:
        return
    locked_folder.check()
    folder = locked_folder.path
    with suppress(DiskWriteError, OSError):
        if shutil.disk_usage(folder).free >= MIN_FREE_FACTOR * size:
            save_snapshot(folder, step, dict(model.named_parameters()))
