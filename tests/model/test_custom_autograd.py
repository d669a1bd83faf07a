"""Operations with gradients worked out by hand give what torch makes of the plain lines."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from descend.model.custom_autograd import RMSNorm, apply_rotary, squared_relu, use_custom_backward

Operation = Callable[[Tensor], Tensor]


def plain_rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


def both(ours: Operation, plain: Operation, x: Tensor) -> None:
    """Values and gradients of `ours` in float32 are those of `plain` in float64."""
    double = x.double().requires_grad_()
    single = x.requires_grad_()
    assert use_custom_backward(single)
    assert not use_custom_backward(double)
    actual, expected = ours(single), plain(double)
    torch.testing.assert_close(ours(single.detach()), actual, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(actual.double(), expected, rtol=1e-4, atol=1e-5)
    outer = torch.randn(actual.shape, dtype=torch.float64)
    actual.backward(outer.float())
    expected.backward(outer)
    assert single.grad is not None
    assert double.grad is not None
    torch.testing.assert_close(single.grad.double(), double.grad, rtol=1e-4, atol=1e-5)


sizes = st.integers(1, 9)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**31), rows=sizes, columns=sizes)
def test_squared_relu(seed: int, rows: int, columns: int) -> None:
    torch.manual_seed(seed)
    both(squared_relu, lambda x: F.relu(x).square(), torch.randn(rows, columns))


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**31), rows=sizes, width=st.integers(2, 40))
def test_rms_norm(seed: int, rows: int, width: int) -> None:
    torch.manual_seed(seed)
    norm = RMSNorm(width, eps=1e-5)
    torch.nn.init.normal_(norm.weight)
    exact = norm.weight.detach().double().requires_grad_()
    x = torch.randn(2, rows, width) * 3
    both(norm, lambda y: F.rms_norm(y, (width,), exact, 1e-5), x)
    assert norm.weight.grad is not None
    assert exact.grad is not None
    torch.testing.assert_close(norm.weight.grad.double(), exact.grad, rtol=1e-4, atol=1e-4)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**31), length=sizes, half=sizes)
def test_rotate_where_heads_lie_apart(seed: int, length: int, half: int) -> None:
    torch.manual_seed(seed)
    angles = torch.rand(length, half, dtype=torch.float64) * 7
    cos, sin = angles.cos(), angles.sin()
    # As it comes from the joined product of query, key and value: not one piece of memory.
    apart = torch.randn(2, length, 3, 4, 2 * half).permute(2, 0, 3, 1, 4)[0]
    both(
        lambda x: apply_rotary(x, cos.float(), sin.float()),
        lambda x: plain_rotate(x, cos, sin),
        apart,
    )


def test_bfloat16_agrees_with_float32_within_its_rounding() -> None:
    torch.manual_seed(1)
    exact = torch.randn(2, 3, 5, 8, requires_grad=True)
    rounded = exact.detach().bfloat16().requires_grad_()
    angles = torch.randn(5, 4)
    outer = torch.randn(exact.shape)
    for x in (exact, rounded):
        assert use_custom_backward(x)
        result = squared_relu(apply_rotary(x, angles.cos(), angles.sin()))
        assert result.dtype == x.dtype
        result.backward(outer.to(x.dtype))
    assert exact.grad is not None
    assert rounded.grad is not None
    torch.testing.assert_close(rounded.grad.float(), exact.grad, rtol=0.05, atol=0.05)


def test_elsewhere_the_plain_line_is_used() -> None:
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    assert not use_custom_backward(x)
    assert torch.equal(squared_relu(x), F.relu(x).square())
    with torch.no_grad():
        assert not use_custom_backward(torch.randn(3, requires_grad=True))


def test_a_second_derivative_is_refused_and_not_wrong() -> None:
    x = torch.randn(5, requires_grad=True)
    (slope,) = torch.autograd.grad(squared_relu(x).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="does not require grad"):
        slope.sum().backward()
