"""Parts of a model switched off, to see what they are good for.

Cost class: forward; one passage for each part.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from descend.metrics.layer_predictions import next_token_losses
from descend.model.transformer import Block, Transformer


class Ablation(msgspec.Struct, frozen=True):
    """A part that is switched off: a head of a layer (both counted from 1), or its whole block.

    A head that is off adds nothing to what its layer gathers (zero ablation). A block that is off
    hands on what it was given. Source: Michel et al. 2019, "Are Sixteen Heads Really Better than
    One?"; of the block: Veit et al. 2016, "Residual Networks Behave Like Ensembles".
    """

    layer: int
    head: int | None = None
    """None: the whole block."""


@contextmanager
def ablate(model: Transformer, ablation: Ablation | None) -> Iterator[None]:
    """Switch a part of `model` off while the context lasts; with None nothing.

    `IndexError` for a layer or a head that the model does not have.
    """
    if ablation is None:
        yield
        return
    _check(model, ablation)
    block = cast(Block, model.blocks[ablation.layer - 1])
    if ablation.head is None:
        hook = block.register_forward_hook(_hand_on_input)
    else:
        width = model.shape.head_dim
        start = (ablation.head - 1) * width

        def silence(_: torch.nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            gathered = inputs[0].clone()
            gathered[..., start : start + width] = 0
            return (gathered,)

        hook = block.attention.output.register_forward_pre_hook(silence)
    try:
        yield
    finally:
        hook.remove()


def all_ablations(model: Transformer) -> list[Ablation]:
    """Return every part that can be switched off: layer by layer the block, then its heads."""
    layers, heads = model.shape.num_layers, model.shape.num_heads
    return [
        Ablation(layer, head)
        for layer in range(1, layers + 1)
        for head in (None, *range(1, heads + 1))
    ]


@torch.no_grad()
def ablation_effects(model: Transformer, ids_T: NDArray[np.int64]) -> list[tuple[Ablation, float]]:
    """Return how much the mean loss (nats per token) of a passage rises without each part.

    Below zero where the passage is predicted better without it. In evaluation mode; the mode of
    the model is left as it was found.
    """
    was_training = model.training
    model.eval()
    try:
        loss = _mean_loss(model, ids_T)
        effects = []
        for ablation in all_ablations(model):
            with ablate(model, ablation):
                effects.append((ablation, _mean_loss(model, ids_T) - loss))
        return effects
    finally:
        model.train(was_training)


def _mean_loss(model: Transformer, ids_T: NDArray[np.int64]) -> float:
    device = next(model.parameters()).device
    logits_TV = model(torch.from_numpy(ids_T)[None].to(device))[0].float().cpu()
    return float(next_token_losses(logits_TV, ids_T).mean())


def _hand_on_input(_: torch.nn.Module, inputs: tuple[Any, ...], __: Tensor) -> Tensor:
    given: Tensor = inputs[0]
    return given


def _check(model: Transformer, ablation: Ablation) -> None:
    shape = model.shape
    if not 1 <= ablation.layer <= shape.num_layers:
        raise IndexError(f"layer {ablation.layer} of {shape.num_layers}")
    if ablation.head is not None and not 1 <= ablation.head <= shape.num_heads:
        raise IndexError(f"head {ablation.head} of {shape.num_heads}")
