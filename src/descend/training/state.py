"""All that changes while a run trains: the one list of what a resume needs.

Random numbers are not in it: those of step n follow from the seed and n (see `loop`).
A test walks these fields and holds them against the saved checkpoint.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
import torch
from torch import Tensor
from torch.optim import Optimizer

from descend.model.transformer import Transformer


class Tally(msgspec.Struct):
    """Sums over the epoch under way, for its line at the end."""

    steps: int = 0
    loss_start: float = 0.0
    loss_end: float = 0.0
    accuracy_start: float = 0.0
    accuracy_end: float = 0.0
    seconds: float = 0.0

    def add(self, epoch_steps: int, loss: float, accuracy: float, seconds: float) -> None:
        """Count one step of an epoch of `epoch_steps`."""
        edge = edge_steps(epoch_steps)
        if self.steps < edge:
            self.loss_start += loss / edge
            self.accuracy_start += accuracy / edge
        if self.steps >= epoch_steps - edge:
            self.loss_end += loss / edge
            self.accuracy_end += accuracy / edge
        self.steps += 1
        self.seconds += seconds


def edge_steps(epoch_steps: int) -> int:
    """Steps that make the start, and the end, of an epoch: a twentieth, at least one."""
    return max(1, epoch_steps // 20)


@dataclass
class Best:
    """The weights with the lowest validation loss so far; on the CPU."""

    epoch: int
    validation_loss: float
    weights: dict[str, Tensor]


@dataclass
class TrainState:
    """A run between two steps. `step` counts finished steps."""

    model: Transformer
    optimizers: list[Optimizer]
    scaler: torch.amp.GradScaler
    step: int = 0
    tally: Tally = field(default_factory=Tally)
    best: Best | None = None
    seconds: float = 0.0
    """Time spent in training steps and evaluation, over all sittings."""
    skipped: int = 0
    """Steps in a row without an update, because float16 gradients overflowed."""


def copy_weights(model: Transformer) -> dict[str, Tensor]:
    """The weights of `model`, copied to the CPU; tied ones once."""
    return {name: p.detach().to("cpu", copy=True) for name, p in model.named_parameters()}


def put_weights(model: Transformer, weights: dict[str, Tensor]) -> None:
    """The reverse of `copy_weights`."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weights[name])
