"""Whether attention on this machine computes what its formula says, before the first step.

The kernel of `execution` is code of torch and of the device's driver: no test of ours has run it
here. Tests check all else that training rests on.

Shapes: T position, D width, H heads, K head size.
"""

from __future__ import annotations

import math

import msgspec
import torch
from torch import Tensor

from descend.errors import SelfCheckError
from descend.machine import Execution
from descend.model.shape import ModelShape, NetworkDetails
from descend.model.transformer import SelfAttention
from descend.training.precision import autocast_precision

MAX_RELATIVE_ERROR = 0.05
"""Share by which attention may differ from the formula: bfloat16 keeps 0.01; a head of 8 numbers
whose scores are not divided is off by half."""

SEQ_LEN, EMBED_DIM, NUM_HEADS = 8, 16, 2
"""Sizes of the checks: a few milliseconds."""


@torch.no_grad()
def check_attention_kernel(execution: Execution, shape: ModelShape) -> None:
    """Raise `SelfCheckError` where attention is not softmax(q k / sqrt(K)) v over what came before.

    Random numbers and the network of the run stay as they are.
    """
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()  # type: ignore[no-untyped-call]
    small_shape = msgspec.structs.replace(
        shape, embed_dim=EMBED_DIM, num_heads=NUM_HEADS, details=NetworkDetails()
    )
    with torch.random.fork_rng(devices):
        attention = SelfAttention(small_shape, 0.0, execution.attention)
    attention.to(execution.device)
    positions = torch.arange(SEQ_LEN * EMBED_DIM, device=execution.device)
    x_TD = torch.sin(positions**2.0).view(SEQ_LEN, EMBED_DIM)
    for _ in range(2):  # biases keep scores from growing with the square alone
        x_TD = x_TD / _scores(attention, x_TD).std().sqrt()
    with autocast_precision(execution):
        actual_TD = attention(x_TD[None], None, 0, None)[0].float()
    scores_HTT = _scores(attention, x_TD)
    future_TT = torch.ones_like(scores_HTT[0], dtype=torch.bool).triu(1)
    weights_HTT = scores_HTT.masked_fill(future_TT, -torch.inf).softmax(-1)
    mixed_HTK = weights_HTT @ _heads(attention, attention.value(x_TD))
    expected_TD = attention.output(mixed_HTK.transpose(0, 1).reshape(SEQ_LEN, EMBED_DIM))
    error = float((actual_TD - expected_TD).norm() / expected_TD.norm())
    if not error <= MAX_RELATIVE_ERROR:
        raise SelfCheckError(
            "attention",
            f"{execution.attention} results on {execution.device} that are {error:.0%} off",
            "softmax(q k / sqrt(head size)) v over what came before",
            f"set `attention = {_other_kernel(attention)}`, or choose another device",
        )  # fmt: skip


def _other_kernel(attention: SelfAttention) -> str:
    return "matmul" if attention.kernel == "fused" else "fused"


def _heads(attention: SelfAttention, x_TD: Tensor) -> Tensor:
    return x_TD.view(len(x_TD), attention.num_heads, -1).transpose(0, 1)


def _scores(attention: SelfAttention, x_TD: Tensor) -> Tensor:
    q_HTK, k_HTK = (_heads(attention, part(x_TD)) for part in (attention.query, attention.key))
    return q_HTK @ k_HTK.mT / math.sqrt(q_HTK.shape[-1])
