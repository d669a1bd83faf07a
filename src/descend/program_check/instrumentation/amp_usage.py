"""Whether a program asks for float16, and whether it scales its loss: seen as it does so.

A program written for a GPU asks for float16 that this machine may not have; the wish is seen even
where torch ignores it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch.amp.autocast_mode import autocast
from torch.amp.grad_scaler import GradScaler

REQUESTED_DTYPE_ATTRIBUTE = "_wished_by_program"
"""Attribute under which an autocast remembers that it was requested, available or not."""


@dataclass
class AmpUsage:
    """What was seen of it."""

    uses_float16: bool = False
    """Whether a forward ran under autocast to float16, or would have on a GPU."""
    uses_grad_scaler: bool = False
    """Whether a loss went through a gradient scaler."""


@contextmanager
def watch_amp() -> Iterator[AmpUsage]:
    """Note autocast and gradient scaling by whoever runs inside."""
    usage = AmpUsage()
    made, entered, scale = autocast.__init__, autocast.__enter__, GradScaler.scale

    def init(self: Any, device_type: str, dtype: Any = None, enabled: bool = True,
             cache_enabled: Any = None) -> None:  # fmt: skip
        setattr(self, REQUESTED_DTYPE_ATTRIBUTE, bool(enabled))
        made(self, device_type, dtype, enabled, cache_enabled)

    def enter(self: Any) -> Any:
        wished = getattr(self, REQUESTED_DTYPE_ATTRIBUTE, False) or getattr(self, "_enabled", False)
        if wished and getattr(self, "fast_dtype", None) == torch.float16:
            usage.uses_float16 = True
        return entered(self)  # type: ignore[no-untyped-call]

    def scale_loss(self: Any, outputs: Any) -> Any:
        unavailable = not self.is_enabled() and not torch.cuda.is_available()
        usage.uses_grad_scaler = (
            usage.uses_grad_scaler or self.is_enabled() or (unavailable and self._device == "cuda")
        )
        return scale(self, outputs)

    autocast.__init__, autocast.__enter__ = init, enter  # type: ignore[method-assign]
    GradScaler.scale = scale_loss  # type: ignore[method-assign]
    try:
        yield usage
    finally:
        autocast.__init__, autocast.__enter__ = made, entered  # type: ignore[method-assign]
        GradScaler.scale = scale  # type: ignore[method-assign]
