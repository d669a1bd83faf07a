"""A run between two steps as plain data: what a checkpoint holds, and a rollback goes back to."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from descend.training.train_state import (
    Snapshot,
    StateScalars,
    TrainState,
    load_weights,
    trained_weights,
)

Numbers = dict[str, dict[str, int | float]]


def snapshot_view(state: TrainState) -> Snapshot:
    """Return all of `state`; its tensors are those that train on."""
    tensors, numbers = zip(*(_split_optimizer_state(o) for o in state.optimizers), strict=True)
    scalars = StateScalars(
        step=state.step,
        seconds=state.elapsed_seconds,
        skipped=state.skipped,
        tally=copy.copy(state.tally),
        scaler=state.scaler.state_dict(),
        best_epoch=state.best.epoch if state.best else None,
        best_validation_loss=state.best.validation_loss if state.best else None,
        optimizer_numbers=list(numbers),
        recent=copy.deepcopy(state.recent),
        rollback_state=state.rollback_state,
        decay=state.decay,
        clock=state.clock,
        run_id=state.run_id,
    )
    return Snapshot(trained_weights(state.model), list(tensors), state.best, scalars)


def copy_snapshot(state: TrainState) -> Snapshot:
    """Return the same with tensors of its own, on the same device."""
    view = snapshot_view(state)
    return replace(
        view,
        weights={name: t.clone() for name, t in view.weights.items()},
        optimizers=[
            {name: t.clone() for name, t in tensors.items()} for tensors in view.optimizers
        ],
    )


def restore_snapshot(snapshot: Snapshot, state: TrainState) -> None:
    """Make `state`, built for the same configuration, what it was; the snapshot stays whole.

    What it knows of rollbacks, of its end and of the clock stays: going back would undo what was
    changed.
    """
    scalars = snapshot.scalars
    load_weights(state.model, snapshot.weights)
    optimizer_states = zip(
        state.optimizers, snapshot.optimizers, scalars.optimizer_numbers, strict=True
    )
    for optimizer, tensors, numbers in optimizer_states:
        _put_together(optimizer, tensors, numbers)
    restore_scalars(scalars, state)
    state.best = snapshot.best


def restore_scalars(scalars: StateScalars, state: TrainState) -> None:
    """Make the same of `state` but its tensors."""
    if scalars.scaler:
        state.scaler.load_state_dict(scalars.scaler)
    state.step, state.elapsed_seconds, state.skipped = (
        scalars.step,
        scalars.seconds,
        scalars.skipped,
    )
    state.tally, state.recent = copy.copy(scalars.tally), copy.deepcopy(scalars.recent)


def _split_optimizer_state(optimizer: Optimizer) -> tuple[dict[str, Tensor], Numbers]:
    """Return the state of `optimizer` as tensors and numbers, keyed by the place of the
    parameter."""
    tensors: dict[str, Tensor] = {}
    numbers: Numbers = {}
    for index, parameter_state in optimizer.state_dict()["state"].items():
        for name, value in parameter_state.items():
            if isinstance(value, Tensor):
                tensors[f"{index}.{name}"] = value.detach()
            else:
                numbers.setdefault(str(index), {})[name] = value
    return tensors, numbers


def _put_together(optimizer: Optimizer, tensors: dict[str, Tensor], numbers: Numbers) -> None:
    state: dict[int, dict[str, Any]] = {}
    for key, tensor in tensors.items():
        index, name = key.split(".", 1)
        # The optimizer would train on in the very tensors that it is given.
        state.setdefault(int(index), {})[name] = tensor.clone()
    for parameter_key, parameter_numbers in numbers.items():
        state.setdefault(int(parameter_key), {}).update(parameter_numbers)
    optimizer.load_state_dict(optimizer.state_dict() | {"state": state})
    for parameter_state in optimizer.state.values():
        for name, value in parameter_state.items():
            # Adam counts its steps in a float32 tensor, whatever the type of the weights.
            assert not isinstance(value, Tensor) or value.dtype.is_floating_point, name
