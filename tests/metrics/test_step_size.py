"""Step multiplier and noise scale against their closed forms."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from descend.metrics.step_size import (
    MAX_MULTIPLIER,
    MIN_MULTIPLIER,
    critical_step_multiplier,
    gradient_noise_scale,
)


def multiplier(step: float, curvature: float = 3.0, at: float = 2.0) -> tuple[float, float]:
    """On the parabola curvature/2 x², from x = `at`, by `step` times the exact way down."""
    x = torch.tensor([at])
    update = [torch.tensor([-step * at])]
    measured_multiplier = critical_step_multiplier(
        [x], update, lambda: float(curvature / 2 * x[0] ** 2)
    )
    return measured_multiplier, float(x[0])


@pytest.mark.parametrize("step", [1.0, 0.1, 0.01, 1.5])
def test_step_multiplier_on_parabola_is_twice_optimal(step: float) -> None:
    measured_multiplier, x = multiplier(step)
    assert measured_multiplier == pytest.approx(2 / step, rel=0.1)
    assert measured_multiplier <= 2 / step  # the last multiplier that does not rise
    assert x == 2.0  # the weights are as they were


def test_a_step_uphill_and_one_without_end() -> None:
    assert multiplier(-1.0)[0] == MIN_MULTIPLIER
    assert multiplier(1e-9)[0] == MAX_MULTIPLIER


class Mean(nn.Module):
    """One weight; the loss on a batch of numbers is the mean of w times each."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones(1))


def test_noise_scale_matches_analytic_value() -> None:
    torch.manual_seed(0)
    model, per_batch, count = Mean(), 256, 400
    # A token's gradient is its own value: mean 0.5, variance 4, so tr Σ / |G|² = 16 tokens.
    data = 0.5 + 2 * torch.randn(count, 1, per_batch + 1, dtype=torch.float64)
    scale = gradient_noise_scale(
        model,  # type: ignore[arg-type]
        list(data),
        lambda batch: (model.w * batch[:, 1:].float()).mean(),
    )
    assert scale == pytest.approx(16, rel=0.3)
    assert model.w.grad is None
