"""Where in a text a model loses: by position in its window, and by how frequent the token is.

Cost class: forward; one pass over the windows looked at.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from descend.model.transformer import Transformer

Losses = NDArray[np.float32]
Ids = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class TokenLosses:
    """Loss of every predicted token (nats), in evaluation mode: `losses`, `targets` (N, T)."""

    losses: Losses
    targets: Ids
    is_correct: NDArray[np.bool_]
    confidence: Losses
    """Probability that the model gives its own first choice."""


class LossBin(msgspec.Struct, frozen=True):
    """Mean loss (nats) of the tokens whose position or count lies in [`low`, `high`)."""

    low: int
    high: int
    loss: float
    tokens: int


def token_losses(
    model: Transformer,
    tokens: NDArray[np.unsignedinteger] | Ids,
    seq_len: int,
    *,
    windows: int,
    batch_size: int = 32,
) -> TokenLosses:
    """Return losses on at most `windows` windows of `seq_len`, evenly spread over `tokens`.

    The mode of the model is left as it was found. With less text than a window, one shorter one.
    """
    seq_len = min(seq_len, len(tokens) - 1)
    full = (len(tokens) - 1) // seq_len
    window_indices = np.unique(np.linspace(0, full - 1, min(windows, full)).astype(np.int64))
    ids = np.asarray(tokens[(window_indices * seq_len)[:, None] + np.arange(seq_len + 1)]).astype(
        np.int64
    )
    return token_losses_for_ids(model, ids, batch_size=batch_size)


@torch.no_grad()
def token_losses_for_ids(model: Transformer, ids: Ids, *, batch_size: int = 32) -> TokenLosses:
    """Return losses on the windows `ids` (N, T + 1), each by itself; the mode of the model is left
    as it was found."""
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    batch_results: list[tuple[Losses, NDArray[np.bool_], Losses]] = []
    for first in range(0, len(ids), batch_size):
        part = torch.from_numpy(ids[first : first + batch_size]).to(device)
        inputs, targets = part[:, :-1], part[:, 1:]
        logits = model(inputs).float()
        losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
        best = logits.max(-1)
        batch_results.append((
            losses.view_as(targets).cpu().numpy(),
            (best.indices == targets).cpu().numpy(),
            (best.values - logits.logsumexp(-1)).exp().cpu().numpy(),
        ))  # fmt: skip
    model.train(was_training)
    losses_NT, hits_NT, confidence_NT = (
        np.concatenate(parts) for parts in zip(*batch_results, strict=True)
    )
    return TokenLosses(losses_NT, ids[:, 1:], hits_NT, confidence_NT)


def loss_by_position(token_losses: TokenLosses) -> list[LossBin]:
    """Return the mean loss by octave of the number of tokens read before: 1, 2–3, 4–7, … (nats).

    Healthy: falls with every octave as far as the text has something to say at that distance.
    Source: contextwise loss curve, arXiv 2502.01481.
    """
    length = token_losses.losses.shape[1]
    bands, low = [], 1
    while low <= length:
        high = min(2 * low, length + 1)
        part = token_losses.losses[:, low - 1 : high - 1]
        bands.append(LossBin(low, high, float(part.mean()), part.size))
        low *= 2
    return bands


def loss_slope_per_context_doubling(token_losses: TokenLosses) -> float:
    """Return how much lower the loss is in the second half of the window than in the quarter before
    it (nats per doubling of the context); noise of its sampling: see `slope_error`."""
    length = token_losses.losses.shape[1]
    if length < 4:
        return 0.0
    late, before = (
        token_losses.losses[:, length // 2 :],
        token_losses.losses[:, length // 4 : length // 2],
    )
    return float(before.mean() - late.mean())


def slope_error(token_losses: TokenLosses) -> float:
    """Return the standard error of `loss_slope_per_context_doubling` (nats), from the spread
    between windows."""
    length = token_losses.losses.shape[1]
    if length < 4 or len(token_losses.losses) < 2:
        return float("inf")
    late = token_losses.losses[:, length // 2 :].mean(1)
    before = token_losses.losses[:, length // 4 : length // 2].mean(1)
    return float((before - late).std(ddof=1) / np.sqrt(len(late)))


def context_benefit_nats(token_losses: TokenLosses) -> float:
    """Return the loss after one token read minus the loss in the second half of the window (nats).

    Near 0: what stands further back than one token is of no use to this model.
    """
    length = token_losses.losses.shape[1]
    return float(token_losses.losses[:, 0].mean() - token_losses.losses[:, length // 2 :].mean())


FLAT_LOSS_NATS = 0.01
"""Fraction of the loss by which tokens further on must be foretold better to count."""


def effective_context_length(token_losses: TokenLosses) -> int:
    """Return tokens (a power of two) after which the loss falls no further in the window: to read
    more before a token is of no use to this model. By octaves, as `by_position`; lower is what is
    so by 1 % and two standard errors."""
    length, needed = token_losses.losses.shape[1], 1
    min_reduction = FLAT_LOSS_NATS * float(token_losses.losses.mean())
    low = 1
    while 2 * low <= length:
        here, later = (
            token_losses.losses[:, low - 1 : 2 * low - 1].mean(1),
            token_losses.losses[:, 2 * low - 1 :],
        )
        reductions = here - later.mean(1)
        error = (
            float(reductions.std(ddof=1) / np.sqrt(len(reductions)))
            if len(reductions) > 1
            else math.inf
        )
        if float(reductions.mean()) > max(min_reduction, 2 * error):
            needed = 2 * low
        low *= 2
    return needed


def rare_token_loss_fraction(
    token_losses: TokenLosses, counts: NDArray[np.int64], rare: int
) -> float:
    """Return the fraction of all the loss that falls on targets used under `rare` times in training
    (0 to 1); `counts` (V,).

    Source: rare-token starvation of large vocabularies, arXiv 2407.13623.
    """
    scarce = counts[token_losses.targets] < rare
    return float(token_losses.losses[scarce].sum() / max(float(token_losses.losses.sum()), 1e-12))


def loss_by_frequency(token_losses: TokenLosses, counts: NDArray[np.int64]) -> list[LossBin]:
    """Return the mean loss by octave of how often the target stands in training, `counts` (V,): 0,
    1, 2–3, …

    Source: rare-token starvation of large vocabularies, arXiv 2407.13623.
    """
    train_counts = counts[token_losses.targets.ravel()]
    losses = token_losses.losses.ravel()
    octave = np.where(
        train_counts == 0, 0, np.floor(np.log2(np.maximum(train_counts, 1))) + 1
    ).astype(np.int64)
    return [
        LossBin(
            0 if o == 0 else 2 ** (o - 1),
            1 if o == 0 else 2**o,
            float(losses[octave == o].mean()),
            int((octave == o).sum()),
        )
        for o in np.unique(octave).tolist()
    ]
