"""A run between two steps, on disk and back, to the last bit.

Tensors go to safetensors, numbers to JSON: nothing that could be executed is stored.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor
from torch.optim import Optimizer

from descend.errors import RunFolderError
from descend.runs.durable import write_folder
from descend.runs.folder import checkpoint_folder, checkpoints
from descend.training.state import Best, Tally, TrainState, copy_weights, put_weights


class Scalars(msgspec.Struct, frozen=True):
    """Everything of a `TrainState` that is not a tensor."""

    step: int
    seconds: float
    skipped: int
    tally: Tally
    scaler: dict[str, int | float]
    best_epoch: int | None
    best_validation_loss: float | None
    optimizer_numbers: list[dict[str, dict[str, int | float]]]


def save_checkpoint(folder: Path, state: TrainState) -> None:
    """Write `checkpoints/step_<n>`; older ones go only after the new one was read back."""
    tensors, numbers = zip(*(_take_apart(o) for o in state.optimizers), strict=True)
    best = state.best
    scalars = Scalars(
        step=state.step,
        seconds=state.seconds,
        skipped=state.skipped,
        tally=state.tally,
        scaler=state.scaler.state_dict(),
        best_epoch=best.epoch if best else None,
        best_validation_loss=best.validation_loss if best else None,
        optimizer_numbers=list(numbers),
    )
    files = {
        "state.json": msgspec.json.encode(scalars),
        "model.safetensors": save(copy_weights(state.model)),
        "best.safetensors": save(best.weights if best else {}),
    }
    for index, held in enumerate(tensors):
        files[f"optimizer_{index}.safetensors"] = save(held)
    new = checkpoint_folder(folder, state.step)
    write_folder(new, files)
    for _, path in checkpoints(folder):
        if path != new:
            shutil.rmtree(path, ignore_errors=True)


def load_checkpoint(path: Path, state: TrainState) -> None:
    """Fill `state`, built for the same configuration, from the checkpoint at `path`."""
    try:
        scalars = msgspec.json.decode((path / "state.json").read_bytes(), type=Scalars)
        put_weights(state.model, load((path / "model.safetensors").read_bytes()))
        for index, optimizer in enumerate(state.optimizers):
            held = load((path / f"optimizer_{index}.safetensors").read_bytes())
            _put_together(optimizer, held, scalars.optimizer_numbers[index])
        best = load((path / "best.safetensors").read_bytes())
    except (OSError, KeyError, IndexError, RuntimeError, SafetensorError, msgspec.DecodeError) as e:
        raise RunFolderError(
            str(path), f"a checkpoint that does not fit ({str(e).splitlines()[0]})",
            "what descend wrote there for this configuration",
            "restore the run folder from a copy, or train again",
        ) from None  # fmt: skip
    if scalars.scaler:
        state.scaler.load_state_dict(scalars.scaler)
    state.step, state.seconds, state.skipped = scalars.step, scalars.seconds, scalars.skipped
    state.tally = scalars.tally
    if scalars.best_epoch is not None and scalars.best_validation_loss is not None:
        state.best = Best(scalars.best_epoch, scalars.best_validation_loss, best)


def _take_apart(
    optimizer: Optimizer,
) -> tuple[dict[str, Tensor], dict[str, dict[str, int | float]]]:
    """The state of `optimizer` as tensors and numbers, keyed by the place of the parameter."""
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, dict[str, int | float]] = {}
    for place, held in optimizer.state_dict()["state"].items():
        for name, value in held.items():
            if isinstance(value, Tensor):
                tensors[f"{place}.{name}"] = value.detach().cpu().contiguous()
            else:
                numbers.setdefault(str(place), {})[name] = value
    return tensors, numbers


def _put_together(
    optimizer: Optimizer, tensors: dict[str, Tensor], numbers: dict[str, dict[str, int | float]]
) -> None:
    state: dict[int, dict[str, Any]] = {}
    for key, tensor in tensors.items():
        place, name = key.split(".", 1)
        state.setdefault(int(place), {})[name] = tensor
    for number_place, held in numbers.items():
        state.setdefault(int(number_place), {}).update(held)
    optimizer.load_state_dict(optimizer.state_dict() | {"state": state})
    for held_state in optimizer.state.values():
        for name, value in held_state.items():
            # Adam counts its steps in a float32 tensor, whatever the type of the weights.
            assert not isinstance(value, torch.Tensor) or value.dtype == torch.float32, name
