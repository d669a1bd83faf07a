"""Muon: momentum, made orthogonal (Jordan et al. 2024), all matrices of a shape at once.

Not `torch.optim.Muon`, which goes through the matrices one by one in bfloat16 whatever the
processor: where it has no instructions for that, that is many times slower than float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from descend.training.cuda_graphs import CudaGraphFunction
from descend.training.eager_optimizer import EagerOptimizer
from descend.training.row_shards import RowShards

POLYNOMIALS = (
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
)
"""Coefficients of X, XXᵀX and XXᵀXXᵀX in each step towards orthogonal: the first three of "The
Polar Express" (Amsel et al. 2025), which end as low as five equal steps do (docs/recipe.md)."""

SPECTRAL_NORM_MARGIN = 1.01
"""Singular values must begin below 1 even when they are rounded (the same)."""

MIN_NORM = 1e-7

TALL_MATRIX_RATIO = 2
"""Times as long as wide from which it pays to work out the factor of all steps first."""


class Muon(EagerOptimizer):
    """For matrices only; weight decay is decoupled, times the rate, as in AdamW.

    `dtype` is what the orthogonal matrices are computed in; `recorded`, whether that is recorded on
    a GPU and replayed: the products are many and small, and to launch them is most of an update.
    """

    def __init__(
        self, groups: list[dict[str, Any]], lr: float, momentum: float, dtype: torch.dtype,
        recorded: bool = False,
    ) -> None:  # fmt: skip
        self.dtype = dtype
        self.orthogonal: Callable[[Tensor], Tensor] = (
            CudaGraphFunction(orthogonalize) if recorded else orthogonalize
        )
        self._shards: RowShards | None = None
        self._shapes: dict[Tensor, torch.Size] = {}
        super().__init__(groups, {"lr": lr, "momentum": momentum, "weight_decay": 0.0})

    def divide(self, shards: RowShards, shapes: dict[Tensor, torch.Size]) -> None:
        """Take the weights for the own rows of matrices of these `shapes`."""
        self._shards, self._shapes = shards, shapes

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Move every matrix that has a gradient."""
        for group in self.param_groups:
            weights = [p for p in group["params"] if p.grad is not None]
            if weights:
                self._move(weights, group["lr"], group["momentum"], group["weight_decay"])

    def _nesterov_momentum(self, weights: list[Tensor], momentum: float) -> list[Tensor]:
        """Return the momentum of each weight, which takes up its gradient, with Nesterov's look
        ahead."""
        gradients = [p.grad for p in weights if p.grad is not None]
        for p in weights:
            if not self.state[p]:
                self.state[p]["momentum_buffer"] = torch.zeros_like(p)
        buffers = [self.state[p]["momentum_buffer"] for p in weights]
        torch._foreach_lerp_(buffers, gradients, 1 - momentum)
        return list(torch._foreach_lerp(gradients, buffers, momentum))

    def _move(self, weights: list[Tensor], rate: float, momentum: float, decay: float) -> None:
        ahead = self._nesterov_momentum(weights, momentum)
        torch._foreach_mul_(weights, 1 - rate * decay)
        shapes = [self._shapes.get(p, p.shape) for p in weights]
        for shape in dict.fromkeys(shapes):
            alike = [n for n, other in enumerate(shapes) if other == shape]
            parameters = [weights[n] for n in alike]
            stacked = torch.stack([ahead[n] for n in alike])
            directions = self._orthogonal_rows(stacked, shape).unbind()
            scale = math.sqrt(max(1.0, shape[0] / shape[1]))
            torch._foreach_add_(parameters, directions, alpha=-rate * scale)

    def _orthogonal_rows(self, stacked: Tensor, shape: torch.Size) -> Tensor:
        def orthogonal(matrices_NRC: Tensor) -> Tensor:
            return self.orthogonal(matrices_NRC.to(self.dtype)).to(stacked.dtype)

        if self._shards is None:
            return orthogonal(stacked)
        return self._shards.orthogonalize(orthogonal, stacked, shape)


def orthogonalize(matrices_NRC: Tensor) -> Tensor:
    """Return each of the (N, R, C) matrices with all singular values near 1, by Newton's and
    Schulz's iteration: matrix products only."""
    tall = matrices_NRC.shape[1] > matrices_NRC.shape[2]
    x = matrices_NRC.mT if tall else matrices_NRC
    x = x / (SPECTRAL_NORM_MARGIN * x.norm(dim=(-2, -1), keepdim=True).clamp(min=MIN_NORM))
    long = x.shape[2] >= TALL_MATRIX_RATIO * x.shape[1] and x.dtype == torch.float32
    x = _iterate_on_gram_matrix(x) if long else _iterate_directly(x)
    return x.mT if tall else x


def _iterate_directly(x: Tensor) -> Tensor:
    for a, b, c in POLYNOMIALS:
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


def _iterate_on_gram_matrix(x: Tensor) -> Tensor:
    """As `_iterate_directly`, the square factor that all steps make together being worked out
    first: two thirds of the products where a side is four times the other. It squares small
    singular values, which float32 bears and half precision does not."""
    gram, step, factor = x @ x.mT, None, None
    for a, b, c in POLYNOMIALS:
        if step is not None:
            gram = step @ gram @ step  # of x as it would be by now
        step = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        step.diagonal(dim1=-2, dim2=-1).add_(a)
        factor = step if factor is None else step @ factor
    assert factor is not None
    return factor @ x
