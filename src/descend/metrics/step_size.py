"""How far the next step could go: the critical step multiplier, and the gradient noise scale.

Both work on a model between two steps and leave it, bit for bit, as they found it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from descend.model.transformer import Transformer

MAX_MULTIPLIER = 2.0**12
"""Multipliers are searched from 1/64 up to this; a value at either end means "at least"."""
MIN_MULTIPLIER = 2.0**-6

BISECTIONS = 3
"""Halvings of the octave that holds the answer: known to 2^(1/8), 9 %."""

LossClosure = Callable[[], float]
"""The loss (nats) of the model as it stands on some fixed batch."""


@torch.no_grad()
def critical_step_multiplier(
    weights: Sequence[Tensor], update: Sequence[Tensor], loss: LossClosure
) -> float:
    """Return the largest c in [`MIN_MULTIPLIER`, `MAX_MULTIPLIER`] with loss(w + c u) <= loss(w),
    by doubling and halving.

    For a quadratic along the update u, c = -2 g·u / (u·H u): 2 for a step that exactly minimises.
    Large: a step could be so many times longer. Source: critical sharpness, arXiv 2601.16979.
    Cost class: forward, at most 22 of one batch.
    """
    start = [w.detach().clone() for w in weights]

    def rises(multiplier: float) -> bool:
        for weight, origin, step in zip(weights, start, update, strict=True):
            weight.copy_(origin + multiplier * step)
        loss_value = loss()
        return not loss_value <= base  # not-a-number counts as risen

    base = loss()
    try:
        c = 1.0
        if rises(c):
            while c > MIN_MULTIPLIER and rises(c):
                c /= 2
            if c <= MIN_MULTIPLIER:
                return MIN_MULTIPLIER
            low, high = c, 2 * c
        else:
            while c < MAX_MULTIPLIER and not rises(2 * c):
                c *= 2
            if c >= MAX_MULTIPLIER:
                return MAX_MULTIPLIER
            low, high = c, 2 * c
        for _ in range(BISECTIONS):
            middle = (low * high) ** 0.5
            low, high = (low, middle) if rises(middle) else (middle, high)
        return low
    finally:
        for weight, origin in zip(weights, start, strict=True):
            weight.copy_(origin)


def gradient_noise_scale(
    model: Transformer, micro_batches: Sequence[Tensor], loss: Callable[[Tensor], Tensor]
) -> float:
    """Return the gradient noise scale from the gradients of equal micro-batches (b, T + 1) of token
    ids: tr(Σ) / |G|², the tokens of a batch at which noise and signal of the gradient are equal.

    With q_s the mean squared norm of a micro-batch's gradient and q_b that of all together:
    |G|² = (b_b q_b - b_s q_s) / (b_b - b_s), tr Σ = (q_s - q_b) / (1/b_s - 1/b_b).
    Source: McCandlish et al. 2018, appendix A. Cost class: backward, one a micro-batch. Screens
    only: whether another batch size helps is for a trial to say. Gradients are set to None.
    inf where no signal can be distinguished from the noise with so few micro-batches.
    """
    weights = [p for p in model.parameters() if p.requires_grad]
    total = [torch.zeros_like(w) for w in weights]
    squares = 0.0
    for batch in micro_batches:
        model.zero_grad(set_to_none=True)
        loss(batch).backward()  # type: ignore[no-untyped-call]
        for gradient_sum, weight in zip(total, weights, strict=True):
            if weight.grad is not None:
                gradient_sum += weight.grad
                squares += float(weight.grad.square().sum())
    model.zero_grad(set_to_none=True)
    count = len(micro_batches)
    small = micro_batches[0][:, 1:].numel()
    big = small * count
    q_small, q_big = squares / count, sum(float(t.square().sum()) for t in total) / count**2
    gradient_square = (big * q_big - small * q_small) / (big - small)
    noise = (q_small - q_big) / (1 / small - 1 / big)
    return noise / gradient_square if gradient_square > 0 else float("inf")
