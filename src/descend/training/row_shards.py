"""Tensors whose rows are divided among processes, as FSDP2 divides the weights: process n holds
the n-th of equal parts, of which the last may be shorter or empty."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import torch
import torch.distributed as dist
from safetensors.torch import load, save
from torch import Tensor

from descend.training.process_group import ProcessGroup


def local_tensor(tensor: Tensor) -> Tensor:
    """Return the rows of `tensor` that this process holds: all, where it is not divided."""
    to_local = getattr(tensor, "to_local", None)
    local: Tensor = tensor if to_local is None else to_local()
    return local


class TensorHeader(msgspec.Struct, frozen=True, array_like=True):
    """What other processes need to know of a tensor before they receive their rows."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class RowShards:
    """Exchanges rows between the processes of `group`; called by all of them alike."""

    group: ProcessGroup

    def gather(self, rows: Tensor) -> Tensor | None:
        """Return the whole tensor in the main memory of rank 0; None in other processes."""
        rows = rows.detach().cpu()
        if rows.ndim == 0:
            return rows
        count = int(self.group.sum_totals(np.array([float(len(rows))])).item())
        own = self._pad(rows, count)
        is_first = self.group.rank == 0
        parts = [torch.empty_like(own) for _ in range(self.group.world_size)] if is_first else None
        dist.gather(own, parts, 0)
        return torch.cat(parts)[:count] if parts else None

    def gather_and_save(self, tensors: dict[str, Tensor]) -> bytes:
        """Return whole tensors as a file of safetensors; nothing in processes but rank 0."""
        whole = {name: self.gather(rows) for name, rows in tensors.items()}
        return save({name: t.contiguous() for name, t in whole.items() if t is not None}) if (
            self.group.rank == 0
        ) else b""  # fmt: skip

    def load_and_scatter(self, content: bytes) -> dict[str, Tensor]:
        """Return the own rows of the tensors in a file of safetensors, which rank 0 has."""
        whole = load(content) if self.group.rank == 0 else {}
        headers = [
            TensorHeader(name, tuple(t.shape), str(t.dtype).removeprefix("torch."))
            for name, t in whole.items()
        ]
        shared = self.group.broadcast_bytes(msgspec.msgpack.encode(headers))
        return {
            header.name: self._scatter(header, whole.pop(header.name, None))
            for header in msgspec.msgpack.decode(shared, type=list[TensorHeader])
        }

    def any_process(self, condition: bool) -> bool:
        """Return whether `condition` holds in any process."""
        return bool(self.group.sum_totals(np.array([float(condition)])).item())

    def orthogonalize(
        self, orthogonal: Callable[[Tensor], Tensor], rows_NRC: Tensor, shape: Sequence[int]
    ) -> Tensor:
        """Return the own rows of what `orthogonal` makes of matrices of `shape`, of which
        `rows_NRC` are the own rows.

        Each process receives one matrix at a time and works it out, so that no process holds more
        than one of them.
        """
        world_size, (num_rows, num_columns) = self.group.world_size, shape
        result = torch.empty_like(rows_NRC)
        own_rows = rows_NRC.shape[1]
        for first in range(0, len(rows_NRC), world_size):
            block = rows_NRC[first : first + world_size]
            sent = rows_NRC.new_zeros(world_size, self._rows_of_part(num_rows), num_columns)
            sent[: len(block), :own_rows] = block
            received = torch.empty_like(sent)
            dist.all_to_all_single(received, sent)
            if self.group.rank < len(block):
                matrix = received.flatten(0, 1)[:num_rows]
                sent.flatten(0, 1)[:num_rows] = orthogonal(matrix[None])[0]
            dist.all_to_all_single(received, sent)
            result[first : first + len(block)] = received[: len(block), :own_rows]
        return result

    def _scatter(self, header: TensorHeader, whole: Tensor | None) -> Tensor:
        dtype = getattr(torch, header.dtype)
        if not header.shape:
            scalar = torch.empty((), dtype=dtype) if whole is None else whole.clone()
            dist.broadcast(scalar, 0)
            return scalar
        count, rank, per_part = (
            header.shape[0],
            self.group.rank,
            self._rows_of_part(header.shape[0]),
        )
        own = torch.empty(per_part, *header.shape[1:], dtype=dtype)
        parts = None
        if whole is not None:
            starts = range(0, self.group.world_size * per_part, per_part)
            parts = [self._pad(whole[start : start + per_part], count) for start in starts]
        dist.scatter(own, parts, 0)
        return own[: max(0, min(per_part, count - rank * per_part))].clone()

    def _rows_of_part(self, count: int) -> int:
        return -(-count // self.group.world_size)

    def _pad(self, rows: Tensor, count: int) -> Tensor:
        """Return `rows` with zeros below, as many as the parts of `count` rows have."""
        padded = rows.new_zeros(self._rows_of_part(count), *rows.shape[1:])
        padded[: len(rows)] = rows
        return padded
