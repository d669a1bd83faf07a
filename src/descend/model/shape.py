"""The sizes that define a network."""

from __future__ import annotations

from typing import Literal

import msgspec

from descend.config import RunConfig

Architecture = Literal["gpt", "modern", "llama"]

NORM_EPSILON = 1e-5
ROTARY_BASE = 10_000.0


class RotaryScaling(msgspec.Struct, frozen=True):
    """How rotary frequencies are stretched for contexts that are longer than the first training.

    `linear` divides all of them by `factor` (Chen et al. 2023). `llama3` leaves the fast ones as
    they are, and blends between `low_freq_factor` and `high_freq_factor` (Llama 3.1, as in
    `transformers`).
    """

    kind: Literal["linear", "llama3"]
    factor: float
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_max_seq_len: int = 8192


class NetworkDetails(msgspec.Struct, frozen=True):
    """What tells networks of the architecture `llama` apart. All others have the defaults."""

    model_type: str = "llama"
    """The name in `transformers`."""
    num_kv_heads: int | None = None
    """Heads of keys and values, shared by the query heads; None: as many as `num_heads`."""
    head_size: int | None = None
    """None: `embed_dim / num_heads`."""
    norm_epsilon: float = NORM_EPSILON
    rotary_base: float = ROTARY_BASE
    rotary_scaling: RotaryScaling | None = None
    windows: tuple[int, ...] = ()
    """Positions that each layer attends to, its own included; 0 or no entry: all before it."""
    query_key_norm: bool = False
    """Whether each head of queries and keys is normalized before it is rotated."""
    qkv_bias: bool = False
    output_bias: bool = False
    ff_bias: bool = False
    is_tied: bool = False
    """Whether the head is the token embedding."""


class ModelShape(msgspec.Struct, frozen=True):
    """The sizes needed to build the network, without training settings or machine."""

    architecture: Architecture
    vocab_size: int
    embed_dim: int
    num_heads: int
    num_layers: int
    ff_dim: int
    max_seq_len: int
    details: NetworkDetails = NetworkDetails()

    @property
    def head_dim(self) -> int:
        """Numbers per attention head (K in tensor names)."""
        return self.details.head_size or self.embed_dim // self.num_heads

    @property
    def num_kv_heads(self) -> int:
        """Heads of keys and values."""
        return self.details.num_kv_heads or self.num_heads

    @property
    def is_tied(self) -> bool:
        """Whether the head is the token embedding."""
        return self.architecture == "gpt" or self.details.is_tied


def shape_from_run_config(
    config: RunConfig, vocab_size: int, details: NetworkDetails | None = None
) -> ModelShape:
    """Return the sizes of a configuration, for a vocabulary of `vocab_size` tokens."""
    return ModelShape(
        architecture=config.architecture,
        vocab_size=vocab_size,
        embed_dim=config.embed_dim,
        num_heads=config.num_heads,
        num_layers=config.num_layers,
        ff_dim=config.ff_dim,
        max_seq_len=config.max_seq_len,
        details=details or NetworkDetails(),
    )
