"""The processes that train one model together, and what they exchange: data parallelism.

Each process (a rank) has the whole model and computes its part of every batch. The gradients are
averaged, so that all make the same step. What is decided by a clock or by a signal is decided for
all of them. A run in one process has a group of its own, in which nothing is exchanged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from descend.errors import ProcessLostError
from descend.model.transformer import Transformer
from descend.training.cuda_graphs import LossFn
from descend.training.running_clock import running_clock


def is_sharded(model: nn.Module) -> bool:
    """Return whether FSDP2 divides the weights of `model`; its class is not imported for that,
    since it loads torch's compiler."""
    return hasattr(model, "reshard")


@dataclass(frozen=True)
class ProcessGroup:
    """One of `world_size` processes; rank 0 writes, prints and decides."""

    rank: int = 0
    world_size: int = 1

    def select_rows(self, batch_BT: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the rows (B / world_size, T) of a batch that this process computes."""
        return np.split(batch_BT, self.world_size)[self.rank]

    def clock(self) -> float:
        """Return `running_clock` of rank 0, the same number in all processes."""
        return self.share(running_clock())

    def share(self, value: float) -> float:
        """Return the `value` of rank 0."""
        return self._all_reduce(value if self.rank == 0 else 0.0)

    def agree_on_stop(
        self, signal_number: int | None, is_pause_requested: bool = False
    ) -> tuple[int | None, bool]:
        """Return the number of a signal that any process received, or None, and whether to pause:
        where rank 0 was asked to, and no signal came. One number is exchanged for both."""
        pause = 0.5 if is_pause_requested and self.rank == 0 else 0.0
        agreed = self._all_reduce(float(signal_number or pause), "MAX")
        return int(agreed) or None, agreed == 0.5

    def mean_loss(self, loss: Tensor, hits: Tensor) -> tuple[float, float]:
        """Return the mean of a loss, and the mean of hits, over all processes."""
        if self.world_size == 1:
            return loss.item(), hits.item()
        loss_sum, hit_sum = self.sum_totals(np.array([loss.item(), hits.item()], np.float64))
        return float(loss_sum) / self.world_size, float(hit_sum) / self.world_size

    def sum_totals(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sum of an array over all processes."""
        if self.world_size == 1:
            return totals
        tensor = torch.from_numpy(totals.copy())
        dist.all_reduce(tensor)
        return tensor.numpy()

    def broadcast_bytes(self, content: bytes) -> bytes:
        """Return the `content` of rank 0; that of other ranks does not matter."""
        size = int(self.share(float(len(content))))
        buffer = torch.empty(size, dtype=torch.uint8)
        if self.rank == 0 and size:
            buffer.copy_(torch.frombuffer(bytearray(content), dtype=torch.uint8))
        if size:
            dist.broadcast(buffer, 0)
        return buffer.numpy().tobytes()

    def check_same_weights(self, model: Transformer) -> None:
        """Raise `ProcessLostError` if a weight differs, by one bit, from that of another process.

        Cost: one pass over the weights, and a copy to the CPU where they are on a GPU.
        """
        if self.world_size == 1 or is_sharded(model):  # or each has other rows of them
            return
        digest = hashlib.blake2b(digest_size=6)  # 48 bits: a float64 holds them exactly
        for parameter in model.parameters():
            digest.update(parameter.detach().cpu().contiguous().view(torch.uint8).numpy().data)
        own = float(int.from_bytes(digest.digest(), "big"))
        high = self._all_reduce(own, "MAX")
        low = self._all_reduce(own, "MIN")
        if low != high:
            raise ProcessLostError(
                "weights", "weights that differ between processes", "the same bits in all of them",
                "use the same torch and the same kind of processor or GPU for all processes, and "
                "resume from the last checkpoint",
            )  # fmt: skip

    def _all_reduce(self, value: float, operation: Literal["SUM", "MAX", "MIN"] = "SUM") -> float:
        if self.world_size == 1:
            return value
        tensor = torch.tensor(value, dtype=torch.float64)
        dist.all_reduce(tensor, getattr(dist.ReduceOp, operation))
        return tensor.item()


SINGLE_PROCESS = ProcessGroup()


class DistributedLoss:
    """A loss whose gradients are averaged over all processes during the backward pass."""

    def __init__(self, compute: LossFn) -> None:
        self.compute = compute
        self._parallel: DistributedDataParallel | None = None
        self._model: Transformer | None = None

    def __call__(
        self, model: Transformer, inputs_BT: Tensor, targets_BT: Tensor, label_smoothing: float
    ) -> tuple[Tensor, Tensor]:
        """Compute the loss as `compute` does; the first call must be made by all processes."""
        result: tuple[Tensor, Tensor] = self.parallel(model)(inputs_BT, targets_BT, label_smoothing)
        return result

    def parallel(self, model: Transformer) -> DistributedDataParallel:
        """Wrap `model`, once."""
        if self._parallel is None or self._model is not model:
            self._model = model
            self._parallel = DistributedDataParallel(
                _LossModule(model, self.compute), gradient_as_bucket_view=True
            )
        return self._parallel

    def sync_gradients(self, model: Transformer, is_last: bool) -> AbstractContextManager[object]:
        """Within it, gradients are averaged only in the last micro-batch of a step."""
        return nullcontext() if is_last else self.parallel(model).no_sync()


class _LossModule(nn.Module):
    """`compute` of a model as a module, which is what `DistributedDataParallel` wraps: so what is
    compiled stays inside of it."""

    def __init__(self, model: Transformer, compute: LossFn) -> None:
        super().__init__()
        self.model, self.compute = model, compute

    def forward(self, inputs_BT: Tensor, targets_BT: Tensor, smoothing: float) -> Any:
        return self.compute(self.model, inputs_BT, targets_BT, smoothing)


def share_orthogonalization(
    orthogonalize: Callable[[Tensor], Tensor], group: ProcessGroup
) -> Callable[[Tensor], Tensor]:
    """Return `orthogonalize` of which each process computes its part of the matrices (N, R, C).

    All receive the same bits, whoever computed them.
    """

    def orthogonalize_own_part(matrices_NRC: Tensor) -> Tensor:
        count = len(matrices_NRC)
        per_process = -(-count // group.world_size)
        own = matrices_NRC[group.rank * per_process : (group.rank + 1) * per_process]
        padded = own.new_zeros(per_process, *own.shape[1:])
        if len(own):
            padded[: len(own)] = orthogonalize(own)
        parts = [torch.empty_like(padded) for _ in range(group.world_size)]
        dist.all_gather(parts, padded)
        return torch.cat(parts)[:count]

    return orthogonalize_own_part


@contextmanager
def translate_lost_processes(group: ProcessGroup) -> Iterator[None]:
    """Turn what torch says when another process ended into one sentence."""
    try:
        yield
    except RuntimeError as problem:
        if group.world_size == 1 or not _is_lost_connection(problem):
            raise
        raise ProcessLostError(
            f"process {group.rank} of {group.world_size}",
            "a connection that another process closed", "all processes until the end of the run",
            "resume from the last checkpoint, with the same or another number of processes",
        ) from None  # fmt: skip


def _is_lost_connection(problem: RuntimeError) -> bool:
    """Return whether gloo or NCCL reports a lost peer; gloo has no exception type of its own."""
    named = any(word in str(problem) for word in ("gloo", "Connection", "connection"))
    return isinstance(problem, dist.DistError) or named
