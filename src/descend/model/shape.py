"""The sizes that define a network."""

from __future__ import annotations

from typing import Literal

import msgspec

from descend.config import RunConfig

Architecture = Literal["gpt", "modern"]


class ModelShape(msgspec.Struct, frozen=True):
    """The sizes needed to build the network, without training settings or machine."""

    architecture: Architecture
    vocab_size: int
    embed_dim: int
    num_heads: int
    num_layers: int
    ff_dim: int
    max_seq_len: int

    @property
    def head_dim(self) -> int:
        """Numbers per attention head (K in tensor names)."""
        return self.embed_dim // self.num_heads


def shape_from_run_config(config: RunConfig, vocab_size: int) -> ModelShape:
    """Return the sizes of a configuration, for a vocabulary of `vocab_size` tokens."""
    return ModelShape(
        architecture=config.architecture,
        vocab_size=vocab_size,
        embed_dim=config.embed_dim,
        num_heads=config.num_heads,
        num_layers=config.num_layers,
        ff_dim=config.ff_dim,
        max_seq_len=config.max_seq_len,
    )
