"""Muon: momentum, made orthogonal (Jordan et al. 2024), all matrices of a shape at once.

The same rule as `torch.optim.Muon`, which goes through the matrices one by one in bfloat16 whatever
the processor: where it has no instructions for that, that is many times slower than float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of X, XXᵀX and XXᵀXXᵀX in a step towards orthogonal (Jordan et al. 2024): steepest
at zero; after five, singular values lie between about 0.7 and 1.2."""

NEWTON_SCHULZ_STEPS = 3
"""Jordan takes five. Three leave the smallest singular values below 0.7, for 0.003 bits per byte
(-0.002 to 0.009 on three texts, docs/recipe.md) and two fifths of Muon's time."""

SMALLEST_NORM = 1e-7


class Muon(Optimizer):
    """For matrices only; weight decay is decoupled, times the rate, as in AdamW.

    `dtype` is what the orthogonal matrices are computed in.
    """

    def __init__(
        self, groups: list[dict[str, Any]], lr: float, momentum: float, dtype: torch.dtype
    ) -> None:
        self.dtype = dtype
        super().__init__(groups, {"lr": lr, "momentum": momentum, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Move every matrix that has a gradient."""
        for group in self.param_groups:
            weights = [p for p in group["params"] if p.grad is not None]
            if weights:
                self._move(weights, group["lr"], group["momentum"], group["weight_decay"])

    def _move(self, weights: list[Tensor], rate: float, momentum: float, decay: float) -> None:
        gradients = [p.grad for p in weights if p.grad is not None]
        for p in weights:
            if not self.state[p]:
                self.state[p]["momentum_buffer"] = torch.zeros_like(p)
        buffers = [self.state[p]["momentum_buffer"] for p in weights]
        torch._foreach_lerp_(buffers, gradients, 1 - momentum)
        ahead = torch._foreach_lerp(gradients, buffers, momentum)  # Nesterov's look ahead
        torch._foreach_mul_(weights, 1 - rate * decay)
        for shape in dict.fromkeys(p.shape for p in weights):
            alike = [n for n, p in enumerate(weights) if p.shape == shape]
            stacked = torch.stack([ahead[n].to(self.dtype) for n in alike])
            scale = math.sqrt(max(1.0, shape[0] / shape[1]))
            for n, direction in zip(alike, orthogonal(stacked), strict=True):
                weights[n].add_(direction, alpha=-rate * scale)


def orthogonal(matrices_NRC: Tensor) -> Tensor:
    """Each of the (N, R, C) matrices with all singular values near 1, by Newton's and Schulz's
    iteration: matrix products only."""
    tall = matrices_NRC.shape[1] > matrices_NRC.shape[2]
    x = matrices_NRC.mT if tall else matrices_NRC
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=SMALLEST_NORM)
    a, b, c = NEWTON_SCHULZ
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x
