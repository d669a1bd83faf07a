"""Keys and values of earlier positions, so that each new token costs one position."""

from __future__ import annotations

import torch
from torch import Tensor

from descend.model.shape import ModelShape


class KeyValueCache:
    """Stores up to `shape.max_seq_len` positions of `batch` texts, from the front.

    `length` counts the positions that are complete in all layers; the model advances it once
    at the end of a forward pass, and setting it back forgets the positions after it.
    """

    def __init__(
        self, shape: ModelShape, batch: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        size = (shape.num_layers, batch, shape.num_kv_heads, shape.max_seq_len, shape.head_dim)
        self.keys_LBHSK = torch.empty(size, device=device, dtype=dtype)
        self.values_LBHSK = torch.empty(size, device=device, dtype=dtype)
        self.length = 0
        self.joined: dict[int, tuple[Tensor, Tensor | None]] = {}
        """Weight and bias of query, key and value of each layer in one, made at the first pass:
        the weights must stay as they are as long as the cache is used."""
        self.rotation: tuple[Tensor, Tensor] | None = None
        """`rotary` of all positions."""
        self.mask_B11S: Tensor | None = None
        """Which positions each text attends to; None: all of them, as far as they precede it."""

    def next_positions(self, count: int, device: torch.device) -> Tensor:
        """Return the positions of the next `count` tokens: (T), or (B, T) where texts differ."""
        return torch.arange(self.length, self.length + count, device=device)

    def select_rotation(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Return cosine and sine of `next_positions`, from those of all positions."""
        assert self.rotation is not None
        here = slice(self.length, self.length + len(positions))
        return self.rotation[0][here], self.rotation[1][here]

    def advance(self, count: int) -> None:
        """Count `count` positions as complete in all layers."""
        self.length += count

    def append(self, layer: int, k_BHTK: Tensor, v_BHTK: Tensor) -> tuple[Tensor, Tensor]:
        """Add T positions to `layer`; returns all of its keys and values, (B, H, S, K) each."""
        end = self.length + k_BHTK.shape[2]
        self.keys_LBHSK[layer, :, :, self.length : end] = k_BHTK
        self.values_LBHSK[layer, :, :, self.length : end] = v_BHTK
        return self.keys_LBHSK[layer, :, :, :end], self.values_LBHSK[layer, :, :, :end]

    def select_rows(self, rows: list[int]) -> None:
        """Remove all texts of the batch but `rows`."""
        self.keys_LBHSK = self.keys_LBHSK[:, rows]
        self.values_LBHSK = self.values_LBHSK[:, rows]
