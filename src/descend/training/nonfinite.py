"""When the loss is not a number: where it began."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from descend.errors import DivergedError
from descend.model.transformer import Transformer
from descend.training.process_group import is_sharded
from descend.training.row_shards import local_tensor
from descend.training.train_state import TrainState

NONFINITE_FIX = (
    "lower learning_rate to a third, set gradient_clip to 1.0, or use precision float32; "
    "earlier checkpoints are unchanged"
)


def nonfinite_loss_error(
    model: Transformer, batch: NDArray[np.int64], step: int, epoch: int, loss: float
) -> DivergedError:
    """Return the error for a step whose loss or gradient is not finite, naming the first bad
    place."""
    location = find_first_nonfinite(model, batch)
    what = "loss" if not math.isfinite(loss) else "gradient"
    return DivergedError(
        f"step {step + 1} (epoch {epoch})",
        f"a {what} that is not a finite number, beginning in {location}",
        "finite numbers",
        NONFINITE_FIX,
    )


@torch.no_grad()
def bad_number(state: TrainState) -> str | None:
    """Return the first weight, or number of an optimizer, that is not all finite; None if all are.

    The loss tells nothing of the weights it does not touch: rows of tokens that the text lacks,
    positions beyond `seq_len`. Cost: one pass over the weights and the optimizers' state.
    """
    location = _bad_number_here(state)
    if state.shards and state.shards.any_process(location is not None):
        return location or "the rows of another process"
    return location


def _bad_number_here(state: TrainState) -> str | None:
    for name, weight in state.model.named_parameters():
        if not torch.isfinite(local_tensor(weight)).all():
            return f"the weights of {name}"
    for optimizer in state.optimizers:
        for buffers in optimizer.state.values():
            for name, value in buffers.items():
                if isinstance(value, torch.Tensor) and not torch.isfinite(value).all():
                    return f"{name} of the optimizer"
    return None


def check_numbers(state: TrainState, epoch: int) -> None:
    """Raise `DivergedError` if a weight or a number of an optimizer is not finite."""
    place = bad_number(state)
    if place is not None:
        raise DivergedError(
            f"step {state.step} (epoch {epoch})",
            f"a number that is not finite, beginning in {place}",
            "finite numbers",
            NONFINITE_FIX,
        )


@torch.no_grad()
def find_first_nonfinite(model: Transformer, batch: NDArray[np.int64]) -> str:
    """Return the first weight, else the first module output, else the first gradient, not all
    finite. Nothing is searched where processes divide the weights."""
    if is_sharded(model):
        return "the network"
    for name, weight in model.named_parameters():
        if not torch.isfinite(weight).all():
            return f"the weights of {name}"
    locations: list[str] = []
    hooks = []
    for name, module in model.named_modules():
        if next(module.children(), None) is None:

            def look(_: nn.Module, __: object, output: torch.Tensor, name: str = name) -> None:
                if not locations and not torch.isfinite(output).all():
                    locations.append(f"the output of {name}")

            hooks.append(module.register_forward_hook(look))
    try:
        model(torch.from_numpy(batch[:, :-1]).to(next(model.parameters()).device))
    finally:
        for hook in hooks:
            hook.remove()
    for name, weight in model.named_parameters():
        if not locations and weight.grad is not None and not torch.isfinite(weight.grad).all():
            locations.append(f"the gradient of {name}")
    return locations[0] if locations else "the loss itself"
