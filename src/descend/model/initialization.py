"""Initial weights, a pure function of shape and seed."""

from __future__ import annotations

import math

import torch
from torch import nn

from descend.model.shape import ModelShape
from descend.model.transformer import Transformer

INIT_STD = 0.02
"""Standard deviation of GPT-2's weights (Radford et al. 2019)."""


def initialize(model: Transformer, seed: int) -> None:
    """Fill all weights of `model` in place.

    `gpt`: normal of deviation 0.02, and 0.02 / sqrt(2 L) where a block writes to the stream.
    `modern`: embeddings of deviation 1, which was worth more than any other choice here; matrices
    1 / sqrt(inputs); zero where a block writes to the stream and in the head, so that the network
    starts as if it had no blocks and finds all tokens equally likely (docs/recipe.md).
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            _fill(name, weight, model.shape, generator)


def _fill(name: str, weight: nn.Parameter, shape: ModelShape, generator: torch.Generator) -> None:
    writes_to_stream = name.endswith(("attention.output.weight", "ff.down.weight"))
    if name.endswith("bias"):
        weight.zero_()
    elif "norm" in name:
        weight.fill_(1.0)
    elif shape.architecture == "gpt":
        std = INIT_STD / math.sqrt(2 * shape.num_layers) if writes_to_stream else INIT_STD
        weight.normal_(0.0, std, generator=generator)
    elif writes_to_stream or name == "head.weight":
        weight.zero_()
    elif name == "token_embedding.weight":
        weight.normal_(0.0, 1.0, generator=generator)
    else:
        weight.normal_(0.0, weight.shape[1] ** -0.5, generator=generator)
