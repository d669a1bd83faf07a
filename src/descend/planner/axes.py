"""What a plan may choose of each key: the values weighed, or the one that the user set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from descend.model.shape import ModelShape

WIDTHS = (32, 48, 64, 96, 128, 160, 192, 256, 320, 384, 512, 640, 768, 1024, 1280, 1536, 2048)
LAYERS = (2, 3, 4, 6, 8, 12, 16, 24)
BATCH_TOKENS = tuple(2**n for n in range(9, 17))
CONTEXTS = (64, 128)
HEAD_SIZE, LARGE_HEAD_SIZE, LARGE_WIDTH = 32, 64, 512
FF_FACTOR = 4

NOT_PLANNED = ("corpus_dir", "save_dir", "log_level", "minutes")
"""Keys that the user sets and that decide nothing of a plan."""


class Axes(msgspec.Struct, frozen=True):
    """The values weighed of each key; one alone where the user set it."""

    fixed: dict[str, Any]
    """Keys that the user set."""

    @property
    def widths(self) -> Sequence[int]:
        """Widths weighed."""
        return self._values("embed_dim", WIDTHS)

    @property
    def layers(self) -> Sequence[int]:
        """Numbers of blocks weighed."""
        return self._values("num_layers", LAYERS)

    @property
    def contexts(self) -> Sequence[int]:
        """Sequence lengths weighed: with `max_seq_len` set, none beyond it."""
        max_context = self.fixed.get("max_seq_len", max(CONTEXTS))
        fitting = tuple(c for c in CONTEXTS if c <= max_context) or (max_context,)
        return self._values("seq_len", fitting)

    def batch_sizes(self, context: int) -> Sequence[int]:
        """Return sequences per step weighed with sequences of `context` tokens."""
        sizes = tuple(n // context for n in BATCH_TOKENS if n >= context)
        return self._values("batch_size", sizes)

    @property
    def sets_size(self) -> bool:
        """Whether the user set the size of the network, so that it is not bounded here."""
        return bool({"embed_dim", "num_layers", "num_heads", "ff_dim"} & self.fixed.keys())

    @property
    def sets_length(self) -> bool:
        """Whether the user set how long the run is, besides the minutes."""
        return bool({"epoch", "max_steps"} & self.fixed.keys())

    def max_epochs(self, steps_per_epoch: float) -> float:
        """Return most steps that the user allows."""
        steps = float(self.fixed.get("max_steps") or "inf")
        epochs = float(self.fixed.get("epoch") or "inf")
        return min(steps, epochs * steps_per_epoch)

    def shape(self, vocab: int, width: int, layers: int, context: int) -> ModelShape | None:
        """Return the network of a width; None where the heads that the user set do not divide
        it."""
        modern = self.fixed.get("architecture", "modern") == "modern"
        heads = self.fixed.get("num_heads")
        if heads is None:
            heads = heads_for(width)
        elif width % heads or (modern and (width // heads) % 2):
            return None
        return ModelShape(
            "modern" if modern else "gpt", vocab, width, heads, layers,
            self.fixed.get("ff_dim", FF_FACTOR * width),
            self.fixed.get("max_seq_len", context),
        )  # fmt: skip

    def _values(self, key: str, weighed: Sequence[int]) -> Sequence[int]:
        return (int(self.fixed[key]),) if key in self.fixed else weighed


def heads_for(width: int) -> int:
    """Return heads of 32 numbers, of 64 from 512 on."""
    head = LARGE_HEAD_SIZE if width >= LARGE_WIDTH else HEAD_SIZE
    heads = max(1, width // head)
    while width % heads or (width // heads) % 2:
        heads -= 1
    return heads


def axes_for(fixed: Mapping[str, Any] | None) -> Axes:
    """Return the axes where the user set `fixed`; what is None is not set."""
    given = {k: v for k, v in (fixed or {}).items() if v is not None and k not in NOT_PLANNED}
    return Axes(given)
