"""The token ids in a batch of any form. Nothing of descend is imported here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def tokens_of(batch: Any) -> Tensor | None:
    """Return the ids (B, T) in a batch; None where there are none."""
    if isinstance(batch, Mapping):
        inner = [batch.get(k) for k in ("input_ids", "ids", "tokens", "x", "input")]
        return next((t for t in map(tokens_of, [*inner, *batch.values()]) if t is not None), None)
    if isinstance(batch, tuple | list):
        return next((t for t in map(tokens_of, batch) if t is not None), None)
    if isinstance(batch, Tensor) and batch.dtype in (torch.int64, torch.int32, torch.int16,
                                                     torch.uint8) and batch.ndim == 2:  # fmt: skip
        return batch
    return None
