"""The network called in evaluation mode: what moves its logits, and how likely it finds its text.

The same signals as `descend check` uses on other people's programs.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import functional_call

from descend.metrics.logit_change import MIN_LOGIT_CHANGE, relative_logit_change
from descend.model.initialization import INIT_STD
from descend.model.transformer import Transformer

from .failure import failure

POSITIONS = 16
"""Of the first sequence so much is looked at: a mask that is wrong is wrong there too."""

LOSS_TOLERANCE = 0.5
"""Nats by which the first loss may exceed ln V, beside what the width brings; with all presets it
is within 0.1 of it."""

SILENT = 0.05
"""Deviation of what stands in for weights that start at zero and would hide a leak."""


def check_network(model: Transformer, first_batch: NDArray[np.int64]) -> None:
    """Causal mask, dropout off in evaluation, first loss near ln V.

    `first_batch`: tokens (B, T + 1). Of weights as they were drawn: training may have made of them
    what it likes, numbers so large that nothing moves them any more among it.
    """
    device = next(model.parameters()).device
    ids = torch.from_numpy(first_batch[:1, :-1][:, :POSITIONS]).to(device)
    modes = {part: part.training for part in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            _first_loss(model, ids)
            _causal(model, ids)
    finally:
        for part, training in modes.items():
            part.training = training


def _first_loss(model: Transformer, ids: Tensor) -> None:
    """The loss of each token that might come next, on average: in a text of few tokens, that of
    those which do come is chance.

    Logits of deviation s cost s^2 / 2; where the embeddings are the head, s is theirs times the
    root of the width, and each token finds itself likely. Twice s^2 / 2 is allowed for both.
    """
    logits_BTV = model(ids).float()
    loss = float((logits_BTV.logsumexp(-1) - logits_BTV.mean(-1)).mean())
    uniform = math.log(logits_BTV.shape[-1])
    if not loss < uniform + LOSS_TOLERANCE + INIT_STD**2 * model.shape.embed_dim:
        raise failure("the first loss", f"{loss:.2f} nats per token",
                    f"about {uniform:.2f}, the logarithm of the vocabulary")  # fmt: skip


def _with_nonzero_weights(model: Transformer) -> dict[str, Tensor]:
    """Small numbers for each weight that is zero (its first row is looked at), by name."""
    return {
        name: _small_numbers(weight.detach())
        for name, weight in model.named_parameters()
        if weight.ndim > 1 and not bool(weight[0].any())
    }


def _small_numbers(like: Tensor) -> Tensor:
    numbers = torch.linspace(-1.7, 1.7, 97, device=like.device, dtype=like.dtype) * SILENT
    return numbers.repeat(like.numel() // 97 + 1)[: like.numel()].view_as(like)


def _causal(model: Transformer, ids: Tensor) -> None:
    if model.shape.vocab_size < 2:
        return
    instead, last = _with_nonzero_weights(model), ids.shape[1] - 1
    changed = ids.clone()
    changed[:, last] = (changed[:, last] + 1) % model.shape.vocab_size

    def forward(ids_BT: Tensor) -> Tensor:
        logits_BTV: Tensor = functional_call(model, instead, (ids_BT,))
        return logits_BTV

    logit_change_T = logit_change_by_position(forward, ids, changed)
    if float(logit_change_T[:last].max()) > MIN_LOGIT_CHANGE:
        raise failure(
            "attention",
            "logits that move when a later token changes, or from call to call",
            "a causal network with dropout off in evaluation",
        )
    if not float(logit_change_T[last]) > MIN_LOGIT_CHANGE:
        raise failure("the network", "logits that do not depend on the token", "logits that do")


def logit_change_by_position(
    forward: Callable[[Tensor], Tensor], ids_BT: Tensor, changed_BT: Tensor
) -> Tensor:
    """Largest move of any logit at each position, (T,); free of a verdict.

    A causal network gives 0 (up to rounding) before the first position where the ids differ.
    Cost: two forwards.
    """
    with torch.no_grad():
        return relative_logit_change(forward(ids_BT), forward(changed_BT)).amax((0, 2))
