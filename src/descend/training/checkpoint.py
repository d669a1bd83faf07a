"""A run between two steps, on disk and back, to the last bit.

Tensors go to safetensors, numbers to JSON: nothing that could be executed is stored.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from descend.errors import RunFolderError
from descend.guard import decode_json, read_regular
from descend.runs.atomic_write import remove_folder, verify_folder, write_folder_atomic
from descend.runs.checkpoint_folders import STATE, checkpoint_folder, checkpoints
from descend.runs.event_log import sync_events
from descend.training.state_snapshot import restore_scalars, restore_snapshot, snapshot_view
from descend.training.train_state import BestWeights, Snapshot, StateScalars, TrainState

ROLLBACK_PREFIX = "good_"
"""Begins the names of the files of the state that a rollback would go back to."""


CHECKPOINT_COUNT = 2
"""Checkpoints that stay: the newest, and the one before it, should the newest be damaged."""

MAX_BYTES = 2**40
"""Largest file of a checkpoint that is read: far beyond any machine's memory."""

ReadFile = Callable[[str], bytes | None]
"""The content of a file of a checkpoint, by name; None where there is none."""

SaveTensors = Callable[[dict[str, Tensor]], bytes]
LoadTensors = Callable[[bytes], dict[str, Tensor]]


def save_checkpoint(folder: Path, state: TrainState) -> None:
    """Write `checkpoints/step_<n>`; others go only after it was read back.

    The newest whole one saved before it stays, also where a rollback has undone its steps: a
    resume from there meets the same divergence, and goes back again. Those that would count as
    newer than this one go: they were found damaged. The events so far are synced first: a
    checkpoint on the disk counts on them. `state` must hold finite numbers only (`bad_number`).
    Cost: what stays is read once more.
    """
    others = checkpoints(folder)  # refuses a link before anything is written
    new = checkpoint_folder(folder, state.step)
    sync_events(folder)
    write_folder_atomic(new, encode_state(state))
    ordered = [path for _, path in checkpoints(folder)]
    older = reversed(ordered[: ordered.index(new)])
    previous = list(itertools.islice(filter(verify_folder, older), CHECKPOINT_COUNT - 1))
    for _, path in others:
        if path not in (new, *previous):
            remove_folder(path)


def encode_state(state: TrainState) -> Iterator[tuple[str, bytes]]:
    """Yield all of `state` as the files of a checkpoint, one at a time: name and content.

    Together they are as large as the state itself. Where processes divide it, all must ask for
    these files, and rank 0 receives their content.
    """
    now, earlier = snapshot_view(state), state.rollback_snapshot
    save_tensors = state.shards.gather_and_save if state.shards else _saved
    yield from _files(now, save_tensors)
    yield "best.safetensors", _best_file(now, save_tensors)
    if earlier is not None:
        for name, content in _files(earlier, save_tensors):
            yield ROLLBACK_PREFIX + name, content
            del content  # before the next one is made
        if earlier.best is not state.best:  # an epoch ended since: the rare case
            yield ROLLBACK_PREFIX + "best.safetensors", _best_file(earlier, save_tensors)


def decode_state(
    read: ReadFile, state: TrainState, load_tensors: LoadTensors = load
) -> StateScalars:
    """Fill `state`, built for the same configuration, from the files of a checkpoint; return what
    of it is not a tensor."""
    now = _read(read, "", None, load_tensors)
    restore_snapshot(now, state)
    _restore_decisions(now.scalars, state)
    if read(ROLLBACK_PREFIX + STATE) is not None:
        state.rollback_snapshot = _read(read, ROLLBACK_PREFIX, state.best, load_tensors)
    return now.scalars


def _decode_scalars(read: ReadFile, state: TrainState) -> StateScalars:
    """Fill `state` with what is not a tensor; return that."""
    scalars: StateScalars = decode_json(read(STATE) or b"", StateScalars)
    restore_scalars(scalars, state)
    _restore_decisions(scalars, state)
    return scalars


def _restore_decisions(scalars: StateScalars, state: TrainState) -> None:
    state.rollback_state, state.decay = scalars.rollback_state, scalars.decay
    state.clock, state.run_id = scalars.clock, scalars.run_id or state.run_id


def checkpoint_reader(path: Path) -> ReadFile:
    """Return what reads the files of the checkpoint at `path`."""

    def read(name: str) -> bytes | None:
        return read_regular(path / name, MAX_BYTES) if (path / name).exists() else None

    return read


def load_checkpoint(path: Path, state: TrainState, run_id: str | None = None) -> None:
    """Fill `state`, built for the same configuration, from the checkpoint at `path`.

    `run_id`: of the run that it must be of; None where that is not known. A checkpoint of an older
    descend does not state it. Tensors are left out where `state` has no place for them yet, since
    processes will divide them (`shard_state`).
    """
    read = checkpoint_reader(path)
    try:
        is_whole = next(state.model.parameters()).device.type != "meta"
        scalars = decode_state(read, state) if is_whole else _decode_scalars(read, state)
        if path.name != f"step_{state.step}":
            raise ValueError(f"it is of step {state.step}")
        if run_id and scalars.run_id and scalars.run_id != run_id:
            raise ValueError("it is of another run")
    except (OSError, KeyError, ValueError, RuntimeError, SafetensorError) as e:
        raise RunFolderError(
            str(path), f"a checkpoint that does not fit ({str(e).splitlines()[0]})",
            "what descend wrote there for this configuration",
            "restore it from a copy, or delete it, so that the one before it is used",
        ) from None  # fmt: skip


def _files(snapshot: Snapshot, save_tensors: SaveTensors) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each file but that of the best weights."""
    yield STATE, msgspec.json.encode(snapshot.scalars)
    yield "model.safetensors", save_tensors(snapshot.weights)
    for index, tensors in enumerate(snapshot.optimizers):
        yield f"optimizer_{index}.safetensors", save_tensors(tensors)


def _best_file(snapshot: Snapshot, save_tensors: SaveTensors) -> bytes:
    return save_tensors(snapshot.best.weights if snapshot.best else {})


def _saved(tensors: dict[str, Tensor]) -> bytes:
    return save({name: tensor.cpu().contiguous() for name, tensor in tensors.items()})


def _read(
    read: ReadFile, prefix: str, best: BestWeights | None, load_tensors: LoadTensors
) -> Snapshot:
    """Return the snapshot in the files that begin with `prefix`; `best` if it has none of its
    own."""

    def content(name: str) -> bytes:
        file_content = read(f"{prefix}{name}")
        if file_content is None:
            raise ValueError(f"{prefix}{name} is missing")
        return file_content

    scalars: StateScalars = decode_json(content(STATE), StateScalars)
    best_file = read(f"{prefix}best.safetensors")
    if best_file is not None:
        weights = load_tensors(best_file)
        epoch, loss = scalars.best_epoch, scalars.best_validation_loss
        best = None if epoch is None or loss is None else BestWeights(epoch, loss, weights)
    return Snapshot(
        weights=load_tensors(content("model.safetensors")),
        optimizers=[
            load_tensors(content(f"optimizer_{index}.safetensors"))
            for index in range(len(scalars.optimizer_numbers))
        ],
        best=best,
        scalars=scalars,
    )
