"""Where each head of a model looks: the weights by which it gathers from earlier positions.

Cost class: forward; one passage.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from descend.model.transformer import SelfAttention, Transformer, rotate

Weights = NDArray[np.float32]


class Gaze(msgspec.Struct, frozen=True):
    """How a head looks, as means over the positions of a passage (shares 0 to 1).

    The first position is left out: it can look at itself alone.
    """

    layer: int
    head: int
    distance: float
    """Tokens back, weighted by attention."""
    on_itself: float
    on_the_one_before: float
    on_the_first: float
    """High in many trained heads: a place to rest. Source: attention sinks, arXiv 2309.17453."""
    choice: float
    """exp of the entropy: as if spread evenly over so many positions."""


@torch.no_grad()
def attention_weights(model: Transformer, ids_T: NDArray[np.int64]) -> Weights:
    """(L, H, T, T): what position t (third axis) takes from position s <= t; rows sum to 1.

    In evaluation mode; the mode of the model is left as it was found. The weights are computed
    again from what each layer was given, since the fused kernel never writes them down.
    """
    caught: list[Tensor] = []

    def catch(layer: SelfAttention, given: tuple[Any, ...]) -> None:
        caught.append(_weights(layer, given[0], given[1])[0])

    hooks = [
        module.register_forward_pre_hook(catch)
        for module in model.modules()
        if isinstance(module, SelfAttention)
    ]
    was_training = model.training
    model.eval()
    try:
        model(torch.from_numpy(ids_T)[None].to(next(model.parameters()).device))
    finally:
        for hook in hooks:
            hook.remove()
        model.train(was_training)
    return torch.stack(caught).float().cpu().numpy()


def _weights(layer: SelfAttention, x_BTD: Tensor, rotation: tuple[Tensor, Tensor] | None) -> Tensor:
    """(B, H, T, T) of one layer, as its forward computes them."""
    B, T, D = x_BTD.shape
    split = layer._query_key_value(x_BTD).view(B, T, 3, layer.num_heads, D // layer.num_heads)
    q_BHTK, k_BHTK, _ = split.permute(2, 0, 3, 1, 4)
    if rotation is not None:
        q_BHTK, k_BHTK = rotate(q_BHTK, *rotation), rotate(k_BHTK, *rotation)
    scores_BHTS = q_BHTK @ k_BHTK.transpose(-2, -1) / math.sqrt(D // layer.num_heads)
    future_TS = torch.ones(T, T, dtype=torch.bool, device=x_BTD.device).triu(1)
    weights_BHTS: Tensor = scores_BHTS.masked_fill(future_TS, -torch.inf).softmax(-1)
    return weights_BHTS


def gazes(weights_LHTT: Weights) -> list[Gaze]:
    """How each head looks, layer by layer, head by head (both counted from 1)."""
    length = weights_LHTT.shape[-1]
    if length < 2:
        return []
    behind = np.arange(length)[:, None] - np.arange(length)[None, :]
    found = []
    for layer, heads in enumerate(weights_LHTT.astype(np.float64), 1):
        for head, weights_TT in enumerate(heads, 1):
            rows = weights_TT[1:]
            entropy = -(rows * np.log(np.maximum(rows, 1e-30))).sum(-1)
            found.append(Gaze(
                layer, head,
                distance=float((rows * behind[1:]).sum(-1).mean()),
                on_itself=float(np.diagonal(weights_TT)[1:].mean()),
                on_the_one_before=float(np.diagonal(weights_TT, -1).mean()),
                on_the_first=float(rows[:, 0].mean()),
                choice=float(np.exp(entropy).mean()),
            ))  # fmt: skip
    return found
