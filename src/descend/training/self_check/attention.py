"""Attention and positions of a miniature: what the network does, against what is meant.

Shapes: T position, D width, H heads, K head size.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from descend.metrics.token_influence import MIN_LOGIT_CHANGE, relative_logit_change
from descend.model.transformer import SelfAttention, Transformer
from descend.training.self_check.failure import self_check_error

LENGTH = 8

SAME = 0.02
"""Share by which attention may differ from the formula: TF32 keeps 0.001; a head of 8 numbers whose
scores are not divided is off by half."""


@torch.no_grad()
def check_attention(model: Transformer, device: str) -> None:
    """Softmax of q k / sqrt(K) over the positions that may be seen, times v, in each head."""
    attention = model.blocks[0].attention
    assert isinstance(attention, SelfAttention)
    width = model.shape.embed_dim
    x_TD = torch.sin(torch.arange(LENGTH * width, device=device) ** 2.0).view(LENGTH, width)
    for _ in range(2):  # biases keep scores from growing with the square alone
        x_TD = x_TD / _scores(attention, x_TD).std().sqrt()
    attention.eval()
    got_TD = attention(x_TD[None], None, 0, None)[0]
    attention.train()
    scores_HTT = _scores(attention, x_TD)
    hidden = torch.ones(LENGTH, LENGTH, dtype=torch.bool, device=device).triu(1)
    weights_HTT = scores_HTT.masked_fill(hidden, -torch.inf).softmax(-1)
    mixed_HTK = weights_HTT @ _heads(attention, attention.value(x_TD))
    expected_TD = attention.output(mixed_HTK.transpose(0, 1).reshape(LENGTH, width))
    if not float((got_TD - expected_TD).norm()) <= SAME * float(expected_TD.norm()):
        raise self_check_error("attention", "another result than that of its formula",
                    "softmax(q k / sqrt(head size)) v over what came before")  # fmt: skip


def _heads(attention: SelfAttention, x_TD: Tensor) -> Tensor:
    return x_TD.view(len(x_TD), attention.num_heads, -1).transpose(0, 1)


def _scores(attention: SelfAttention, x_TD: Tensor) -> Tensor:
    q_HTK, k_HTK = (_heads(attention, part(x_TD)) for part in (attention.query, attention.key))
    return q_HTK @ k_HTK.mT / math.sqrt(q_HTK.shape[-1])


@torch.no_grad()
def check_positions(model: Transformer, device: str) -> None:
    """The last place tells in which order the first two tokens stand.

    One block must do it: with several, a network without positions can work them out.
    """
    ids_BT = torch.arange(LENGTH, device=device)[None]
    swapped_BT = ids_BT.clone()
    swapped_BT[0, :2] = ids_BT[0, :2].flip(0)
    model.eval()
    logit_change = float(relative_logit_change(model(ids_BT), model(swapped_BT))[0, -1].max())
    model.train()
    if not logit_change > MIN_LOGIT_CHANGE:
        raise self_check_error(
            "the network",
            "logits that do not depend on the order of the tokens",
            "positions that are told apart",
        )
