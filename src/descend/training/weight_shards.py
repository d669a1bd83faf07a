"""The part of each weight that one process holds, and what is measured of all parts together."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from descend.metrics.weight_updates import WeightUpdateRecorder
from descend.training.row_shards import RowShards, local_tensor


@dataclass(frozen=True)
class WeightShards(RowShards):
    """The rows of each weight that this process holds and updates."""

    parameters: tuple[tuple[nn.Parameter, nn.Parameter], ...]
    """Each weight as FSDP2 knows it, and its own rows as a plain one."""

    def full_shapes(self) -> dict[Tensor, torch.Size]:
        """Return the shape of each weight by its own rows."""
        return {own: sharded.shape for sharded, own in self.parameters}

    def collect_gradients(self) -> None:
        """Hand the gradients, which FSDP2 has averaged and divided, to the own rows."""
        for sharded, own in self.parameters:
            own.grad = None if sharded.grad is None else local_tensor(sharded.grad)
            sharded.grad = None

    def clip_gradients(self, max_norm: float) -> float:
        """Scale the gradients so that the norm of all of them is at most `max_norm` (0: leave
        them); return the norm as it was."""
        gradients = [own.grad for _, own in self.parameters if own.grad is not None]
        norms = torch.stack(torch._foreach_norm(gradients)).double()
        total = self.group.sum_totals(np.array([norms.square().sum().item()])).item()
        norm = math.sqrt(total) if total >= 0 else math.nan  # not a number stays one
        if max_norm and (factor := max_norm / (norm + 1e-6)) < 1:
            torch._foreach_mul_(gradients, factor)
        return norm

    def make_recorder(self) -> WeightUpdateRecorder:
        """Return a recorder of updates that counts the rows of all processes."""
        return _ShardedRecorder(self)


class _ShardedRecorder(WeightUpdateRecorder):
    """Measures the own rows of weights and gradients, and adds up those of all processes."""

    def __init__(self, shards: WeightShards) -> None:
        super().__init__()
        self._shards = shards
        self._own = dict(shards.parameters)

    def matrices(self, model: nn.Module) -> list[tuple[str, nn.Parameter]]:
        """Return the own rows of each matrix by name."""
        return [(name, self._own[p]) for name, p in model.named_parameters() if p.ndim == 2]

    def rms(self, x: Tensor) -> float:
        """Return the root mean square of a matrix of which `x` are the own rows."""
        own = [x.detach().double().square().sum().item(), float(x.numel())]
        squares, count = self._shards.group.sum_totals(np.array(own)).tolist()
        return math.sqrt(squares / count)
