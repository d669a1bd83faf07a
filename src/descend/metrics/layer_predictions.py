"""What a model would say after each of its layers, and how surprised it is by a text.

Cost class: forward; one passage.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from descend.model.transformer import Transformer

Ids = NDArray[np.int64]
Probabilities = NDArray[np.float32]


@torch.no_grad()
def layer_logits(model: Transformer, ids_T: Ids) -> Tensor:
    """Return (L + 1, T, V): logits of the next token read off after the embedding and each block.

    What a layer leaves is put through the final norm and the head, as if the later layers did
    nothing. The last entry is the output of the model. In evaluation mode; the mode of the model is
    left as it was found. Source: the logit lens, nostalgebraist, "interpreting GPT" (2020).
    """
    states: list[Tensor] = []

    def keep_input(_: torch.nn.Module, inputs: tuple[Any, ...]) -> None:
        states.append(inputs[0])

    def keep_output(_: torch.nn.Module, __: tuple[Any, ...], output: Tensor) -> None:
        states.append(output)

    was_training = model.training
    model.eval()
    with ExitStack() as hooks:
        hooks.callback(model.train, was_training)
        first = model.blocks[0].register_forward_pre_hook(keep_input)
        hooks.callback(first.remove)
        for block in model.blocks:
            hooks.callback(block.register_forward_hook(keep_output).remove)
        model(torch.from_numpy(ids_T)[None].to(next(model.parameters()).device))
    # One by one: a product of another shape rounds differently, and the last is the model's own.
    logits_LTV = torch.cat([model.head(model.final_norm(state)) for state in states])
    return logits_LTV.float().cpu()


def next_token_losses(logits_TV: Tensor, ids_T: Ids) -> NDArray[np.float32]:
    """Return the loss (nats) of each token of a passage but the first, (T - 1).

    It is minus the log of the probability that was given to the token: 0 if it was certain.
    """
    targets = torch.from_numpy(ids_T[1:])
    losses: NDArray[np.float32] = F.cross_entropy(logits_TV[:-1], targets, reduction="none").numpy()
    return losses


def top_tokens(logits_V: Tensor, count: int) -> list[tuple[int, float]]:
    """Return the `count` likeliest tokens as (id, probability), the likeliest first."""
    values, ids = logits_V.softmax(-1).topk(min(count, len(logits_V)))
    return list(zip(ids.tolist(), values.tolist(), strict=True))
