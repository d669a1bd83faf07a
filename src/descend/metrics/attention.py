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

from descend.model.transformer import SelfAttention, Transformer

Weights = NDArray[np.float32]


class HeadAttentionPattern(msgspec.Struct, frozen=True):
    """How a head looks, as means over the positions of a passage (shares 0 to 1).

    The first position is left out: it can look at itself alone.
    """

    layer: int
    head: int
    mean_distance: float
    """Tokens back, weighted by attention."""
    self_weight: float
    previous_token_weight: float
    first_token_weight: float
    """High in many trained heads: a place to rest. Source: attention sinks, arXiv 2309.17453."""
    effective_positions: float
    """exp of the entropy: as if spread evenly over so many positions."""


class HeadAttentionEntropy(msgspec.Struct, frozen=True):
    """How hard a head looks, over the positions of a passage but the first."""

    layer: int
    head: int
    normalized_entropy: float
    """Mean entropy of its weights over that of an even look at as many positions (0 to 1)."""
    max_logit: float
    """Largest size of a score before the softmax, q k / sqrt(K)."""


@torch.no_grad()
def attention_weights(model: Transformer, ids_T: NDArray[np.int64]) -> Weights:
    """Return (L, H, T, T): what position t (third axis) takes from position s <= t; rows sum to 1.

    In evaluation mode; the mode of the model is left as it was found. The weights are computed
    again from what each layer was given, since the fused kernel never writes them down.
    """
    weights: Weights = _scores(model, ids_T).softmax(-1).float().cpu().numpy()
    return weights


@torch.no_grad()
def head_attention_entropies(
    model: Transformer, ids_T: NDArray[np.int64]
) -> list[HeadAttentionEntropy]:
    """Return how hard each head looks, layer by layer, head by head (both counted from 1).

    Healthy: entropies well above 0, logits of some tens. Entropies of 0 and logits of thousands: a
    head is stuck on one position and no gradient comes through. Source of the entropy: Zhai et al.
    2023, "Stabilizing Transformer Training by Preventing Attention Entropy Collapse"; of the
    largest logit: Dehghani et al. 2023, "Scaling Vision Transformers to 22 Billion Parameters".
    """
    scores_LHTT = _scores(model, ids_T).double()
    weights_LHTT = scores_LHTT.softmax(-1)
    length = weights_LHTT.shape[-1]
    if length < 2:
        return []
    even_T = torch.arange(2, length + 1, device=weights_LHTT.device).log()
    entropy_LHT = -torch.special.xlogy(weights_LHTT, weights_LHTT).sum(-1)[..., 1:] / even_T
    sizes_LHTT = scores_LHTT.masked_fill(scores_LHTT.isinf(), 0.0).abs()
    max_score_LH = sizes_LHTT.amax((-2, -1))
    return [
        HeadAttentionEntropy(
            layer + 1, head + 1, float(entropy_T.mean()), float(max_score_LH[layer, head])
        )
        for layer, heads in enumerate(entropy_LHT)
        for head, entropy_T in enumerate(heads)
    ]


def _scores(model: Transformer, ids_T: NDArray[np.int64]) -> Tensor:
    """Return (L, H, T, T) before the softmax, as each layer's forward computes them; -inf: not
    seen."""
    caught: list[Tensor] = []

    def catch(layer: SelfAttention, inputs: tuple[Any, ...]) -> None:
        caught.append(_scores_of(layer, inputs[0], inputs[1])[0])

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
    return torch.stack(caught)


def _scores_of(
    layer: SelfAttention, x_BTD: Tensor, rotation: tuple[Tensor, Tensor] | None
) -> Tensor:
    """Return (B, H, T, T) of one layer."""
    T = x_BTD.shape[1]
    q_BHTK, k_BGTK, _ = layer.project(x_BTD, rotation)
    k_BHTK = layer.share_heads(k_BGTK)
    scores_BHTS = q_BHTK @ k_BHTK.transpose(-2, -1) / math.sqrt(layer.head_dim)
    ones_TS = torch.ones(T, T, dtype=torch.bool, device=x_BTD.device)
    hidden_TS = ones_TS.triu(1)
    if layer.window:
        hidden_TS = hidden_TS | ones_TS.tril(-layer.window)
    masked_BHTS: Tensor = scores_BHTS.masked_fill(hidden_TS, -torch.inf)
    return masked_BHTS


def head_attention_patterns(weights_LHTT: Weights) -> list[HeadAttentionPattern]:
    """Return how each head looks, layer by layer, head by head (both counted from 1)."""
    length = weights_LHTT.shape[-1]
    if length < 2:
        return []
    behind = np.arange(length)[:, None] - np.arange(length)[None, :]
    patterns = []
    for layer, heads in enumerate(weights_LHTT.astype(np.float64), 1):
        for head, weights_TT in enumerate(heads, 1):
            rows = weights_TT[1:]
            entropy = -(rows * np.log(np.maximum(rows, 1e-30))).sum(-1)
            patterns.append(HeadAttentionPattern(
                layer, head,
                mean_distance=float((rows * behind[1:]).sum(-1).mean()),
                self_weight=float(np.diagonal(weights_TT)[1:].mean()),
                previous_token_weight=float(np.diagonal(weights_TT, -1).mean()),
                first_token_weight=float(rows[:, 0].mean()),
                effective_positions=float(np.exp(entropy).mean()),
            ))  # fmt: skip
    return patterns
