"""Keys and values of texts of different lengths, of which some end while others begin."""

from __future__ import annotations

import torch
from torch import Tensor

from descend.model.kv_cache import KeyValueCache
from descend.model.shape import ModelShape


class RaggedKeyValueCache(KeyValueCache):
    """Stores up to `window` positions of each of `num_rows` texts, a position a forward pass.

    The rows in use are always the first ones. `length` is that of the longest.
    """

    def __init__(
        self, shape: ModelShape, window: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        super().__init__(shape, 0, device, dtype)
        self._window = window
        self.num_rows = 0
        self.lengths: list[int] = []
        """Positions of each row that are complete."""
        self._positions_B = torch.zeros(0, dtype=torch.long, device=device)
        self._rows_B = self._positions_B

    def add_row(self, other: KeyValueCache, row: int) -> None:
        """Append a copy of a row of `other`, whose positions are all complete."""
        capacity = self.keys_LBHSK.shape[1]
        if self.num_rows == capacity:
            self._reserve(max(1, 2 * capacity))
        self.num_rows += 1
        self.lengths.append(0)
        self.replace_row(self.num_rows - 1, other, row)

    def replace_row(self, index: int, other: KeyValueCache, row: int) -> None:
        """Replace a row by one of `other`, whose positions are all complete."""
        self.lengths[index] = other.length
        for ours, theirs in (
            (self.keys_LBHSK, other.keys_LBHSK), (self.values_LBHSK, other.values_LBHSK),
        ):  # fmt: skip
            ours[:, index, :, : other.length] = theirs[:, row, :, : other.length]

    def remove_row(self, index: int) -> None:
        """Remove a row. The last one takes its place."""
        last = self.num_rows - 1
        if index != last:
            length = self.lengths[last]
            self.lengths[index] = length
            for cached in (self.keys_LBHSK, self.values_LBHSK):
                cached[:, index, :, :length] = cached[:, last, :, :length]
        self.lengths.pop()
        self.num_rows = last

    def _reserve(self, capacity: int) -> None:
        """Make room for `capacity` rows."""
        for name in ("keys_LBHSK", "values_LBHSK"):
            old = getattr(self, name)
            layers, _, heads, _, width = old.shape
            new = old.new_zeros((layers, capacity, heads, self._window, width))
            new[:, : self.num_rows] = old[:, : self.num_rows, :, : self._window]
            setattr(self, name, new)

    def next_positions(self, count: int, device: torch.device) -> Tensor:
        """Return the positions (B, 1) of the next token of each row; `count` must be 1."""
        assert count == 1
        self.length = max(self.lengths)
        self._rows_B = torch.arange(self.num_rows, device=device)
        self._positions_B = torch.tensor(self.lengths, device=device)
        columns_S = torch.arange(self.length + 1, device=device)
        self.mask_B11S = (columns_S <= self._positions_B[:, None])[:, None, None]
        return self._positions_B[:, None]

    def select_rotation(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Return cosine and sine of `next_positions`, (B, 1, 1, K / 2) each."""
        assert self.rotation is not None
        return self.rotation[0][positions][:, None], self.rotation[1][positions][:, None]

    def append(self, layer: int, k_BHTK: Tensor, v_BHTK: Tensor) -> tuple[Tensor, Tensor]:
        """Add a position to each row of `layer`; returns keys and values, (B, H, S, K) each."""
        end = self.length + 1
        self.keys_LBHSK[layer, self._rows_B, :, self._positions_B] = k_BHTK[:, :, 0]
        self.values_LBHSK[layer, self._rows_B, :, self._positions_B] = v_BHTK[:, :, 0]
        rows = slice(self.num_rows)
        return self.keys_LBHSK[layer, rows, :, :end], self.values_LBHSK[layer, rows, :, :end]

    def advance(self, count: int) -> None:
        """Count the position of each row as complete."""
        self.lengths = [length + count for length in self.lengths]
