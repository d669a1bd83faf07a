"""What a program loads while it is imported, and into what.

Whether a checkpoint arrived can only be seen as it is loaded: afterwards a network that ignored it
looks like one that never had one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


@dataclass(frozen=True)
class StateDictLoad:
    """One `load_state_dict` of a network."""

    into: nn.Module
    weights: dict[str, Tensor]
    matched: int
    """Of the names in `weights`, those that the network has."""


@dataclass
class CheckpointLoads:
    """What was seen."""

    files: list[Any] = field(default_factory=list)
    """What `torch.load` returned."""
    networks: list[StateDictLoad] = field(default_factory=list)
    optimizers: list[int] = field(default_factory=list)
    """Identities of the optimizers that were given a state."""


@contextmanager
def watch_checkpoint_loads() -> Iterator[CheckpointLoads]:
    """Note every load by whoever runs inside."""
    loads = CheckpointLoads()
    read, fill, fill_optimizer = torch.load, nn.Module.load_state_dict, Optimizer.load_state_dict

    def load(*args: Any, **kwargs: Any) -> Any:
        value = read(*args, **kwargs)
        loads.files.append(value)
        return value

    def load_network(
        self: nn.Module, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        weights = {k: v.detach().clone() for k, v in state_dict.items() if isinstance(v, Tensor)}
        matched = len(set(weights) & set(self.state_dict()))
        result = fill(self, state_dict, *args, **kwargs)
        loads.networks.append(StateDictLoad(self, weights, matched))
        return result

    def load_optimizer(self: Optimizer, state_dict: Any) -> Any:
        loads.optimizers.append(id(self))
        return fill_optimizer(self, state_dict)

    torch.load = load
    nn.Module.load_state_dict = load_network  # type: ignore[method-assign]
    Optimizer.load_state_dict = load_optimizer  # type: ignore[method-assign]
    try:
        yield loads
    finally:
        torch.load = read
        nn.Module.load_state_dict = fill  # type: ignore[method-assign]
        Optimizer.load_state_dict = fill_optimizer  # type: ignore[method-assign]


def is_optimizer_state(value: Any) -> bool:
    """Return whether `value` is what `Optimizer.state_dict()` gives once steps were taken."""
    return (
        isinstance(value, Mapping)
        and isinstance(value.get("param_groups"), list)
        and isinstance(value.get("state"), Mapping)
        and bool(value["state"])
    )


def optimizer_states(value: Any, depth: int = 3) -> Iterator[Any]:
    """Yield the states of optimizers in a checkpoint."""
    if is_optimizer_state(value):
        yield value
    elif isinstance(value, Mapping) and depth:
        for inner in value.values():
            yield from optimizer_states(inner, depth - 1)
    elif isinstance(value, list | tuple) and depth and len(value) < 100:
        for inner in value:
            yield from optimizer_states(inner, depth - 1)


def weights_in(value: Any, shapes: Mapping[str, Any], depth: int = 3) -> dict[str, Tensor]:
    """Return the weights in a checkpoint that has all names and shapes of `shapes`; empty
    without."""
    if not isinstance(value, Mapping) or not depth:
        return {}
    loaded_weights = {k: v for k, v in value.items() if k in shapes and isinstance(v, Tensor)}
    if len(loaded_weights) == len(shapes) and all(
        loaded_weights[k].shape == shapes[k] for k in loaded_weights
    ):
        return loaded_weights
    inner = (weights_in(v, shapes, depth - 1) for v in value.values())
    return next((weights for weights in inner if weights), {})
