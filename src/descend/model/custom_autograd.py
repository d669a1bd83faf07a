"""Small operations between the large products, with gradients written by hand.

Each is what torch would make of the plain line beside it. Torch goes over the numbers once for
every operation and once or twice more for its gradient; here both directions take as few rounds as
they can. That counts on a processor, uncompiled (docs/speed.md). Elsewhere the plain line is used.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def use_custom_backward(x: Tensor) -> bool:
    """Return whether `x` needs gradients and the hand-written ones are faster."""
    needs_gradient = torch.is_grad_enabled() and x.requires_grad
    quicker = x.device.type == "cpu" and x.dtype in (torch.float32, torch.bfloat16)
    return needs_gradient and quicker and not torch.compiler.is_compiling()


def squared_relu(x: Tensor) -> Tensor:
    """Return the square of positive values, and zero for others."""
    if not use_custom_backward(x):
        above = F.relu(x)
        return above * above  # autocast makes float32 of a square
    y: Tensor = _SquaredReLU.apply(x)  # type: ignore[no-untyped-call]
    return y


class _SquaredReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        above = x.relu()
        ctx.save_for_backward(above)
        return above * above

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, outer: Tensor) -> Tensor:
        (above,) = ctx.saved_tensors
        return torch.addcmul(outer.new_zeros(()), outer, above, value=2)


class RMSNorm(nn.RMSNorm):
    """Divide each position by the root of its mean square and multiply by a weight a feature."""

    def forward(self, x: Tensor) -> Tensor:
        """Return x (..., D) normalized; by the custom backward pass where that is faster."""
        if x.dtype != torch.float32 or not use_custom_backward(x):
            plainly: Tensor = super().forward(x)
            return plainly
        assert self.eps is not None
        y: Tensor = _RMSNorm.apply(x, self.weight, self.eps)  # type: ignore[no-untyped-call]
        return y


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        inverse = norm.square_().div_(x.shape[-1]).add_(eps).rsqrt_()
        normal = x * inverse
        ctx.save_for_backward(normal, inverse, weight)
        return torch.mul(normal, weight)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor, Tensor, None]:
        normal, inverse, weight = ctx.saved_tensors
        each = (outer * normal).flatten(0, -2)  # serves both sums
        along = (each @ weight).div_(len(weight)).view_as(inverse)
        inner = (outer * weight).addcmul_(normal, along, value=-1).mul_(inverse)
        return inner, each.sum(0), None


def apply_rotary(x_BHTK: Tensor, cos_TJ: Tensor, sin_TJ: Tensor) -> Tensor:
    """Rotate each pair (i, i + K/2) of a head by the angle of its position; J is K/2."""
    if use_custom_backward(x_BHTK):
        turned: Tensor = _Rotate.apply(x_BHTK, cos_TJ, sin_TJ)  # type: ignore[no-untyped-call]
        return turned
    a, b = x_BHTK.chunk(2, dim=-1)
    cos, sin = cos_TJ.to(a.dtype), sin_TJ.to(a.dtype)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


class _Rotate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        cos, sin = cos.to(x.dtype), sin.to(x.dtype)
        ctx.save_for_backward(cos, sin)
        return _rotate(x, cos, sin)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return _rotate(outer, cos, -sin), None, None


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    turned = torch.empty_like(x, memory_format=torch.contiguous_format)
    (a, b), (turned_a, turned_b) = x.chunk(2, dim=-1), turned.chunk(2, dim=-1)
    torch.mul(a, cos, out=turned_a).addcmul_(b, sin, value=-1)
    torch.mul(b, cos, out=turned_b).addcmul_(a, sin)
    return turned
