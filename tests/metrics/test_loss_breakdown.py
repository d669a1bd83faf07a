"""Losses by position and frequency, on a network whose losses are known in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from descend.metrics.loss_breakdown import (
    TokenLosses,
    context_benefit_nats,
    effective_context_length,
    loss_by_frequency,
    loss_by_position,
    loss_slope_per_context_doubling,
    rare_token_loss_fraction,
    slope_error,
    token_losses,
)
from descend.model.shape import ModelShape
from descend.model.transformer import Transformer


def losses_of(rows: list[list[float]], targets: list[list[int]] | None = None) -> TokenLosses:
    losses = np.array(rows, dtype=np.float32)
    ids = np.zeros(losses.shape, dtype=np.int64) if targets is None else np.array(targets)
    return TokenLosses(losses, ids, losses > 0, losses)


def test_position_bands_are_octaves_and_their_means() -> None:
    losses = losses_of([[8, 4, 4, 2, 2, 2, 2, 1]])
    assert [(b.low, b.high, b.loss) for b in loss_by_position(losses)] == [
        (1, 2, 8.0), (2, 4, 4.0), (4, 8, 2.0), (8, 9, 1.0),
    ]  # fmt: skip
    assert loss_slope_per_context_doubling(losses) == pytest.approx(
        (4 + 2) / 2 - (2 + 2 + 2 + 1) / 4
    )
    assert context_benefit_nats(losses) == pytest.approx(8 - 7 / 4)


def test_context_needed_ends_where_loss_stops_falling() -> None:
    falls = [8, 4, 4, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2]
    assert effective_context_length(losses_of([falls] * 3)) == 4
    assert effective_context_length(losses_of([[3] * 16] * 3)) == 1
    to_the_end = [16 - n for n in range(16)]
    assert effective_context_length(losses_of([to_the_end] * 3)) == 16
    # What differs between windows more than it falls is chance; of one window nothing is known.
    assert effective_context_length(losses_of([[3.1] * 8 + [3] * 8, [3] * 8 + [3.1] * 8])) == 1
    assert effective_context_length(losses_of([falls])) == 1


def test_slope_error_is_standard_error_over_windows() -> None:
    losses = losses_of([[0, 0, 1, 1], [0, 2, 1, 1], [0, 4, 1, 1]])
    # Differences of the windows: -1, 1, 3: standard deviation 2.
    assert loss_slope_per_context_doubling(losses) == pytest.approx(1.0)
    assert slope_error(losses) == pytest.approx(2 / math.sqrt(3))


def test_frequency_bands_use_target_token_frequency() -> None:
    losses = losses_of([[1, 2, 3, 5]], [[0, 1, 2, 3]])
    bands = loss_by_frequency(losses, np.array([0, 1, 2, 3]))
    assert [(b.low, b.high, b.loss, b.tokens) for b in bands] == [
        (0, 1, 1.0, 1), (1, 2, 2.0, 1), (2, 4, 4.0, 2),
    ]  # fmt: skip


def test_rare_loss_fraction_is_relative_to_loss() -> None:
    losses = losses_of([[1, 2, 3, 5]], [[0, 1, 2, 3]])
    counts = np.array([50, 19, 20, 0])
    assert rare_token_loss_fraction(losses, counts, 20) == pytest.approx((2 + 5) / 11)
    assert rare_token_loss_fraction(losses_of([[0, 0]]), counts, 99) == 0.0


def test_untrained_uniform_network_has_log_vocab_loss() -> None:
    shape = ModelShape("gpt", 11, 8, 2, 1, 8, 8)
    model = Transformer(shape, 0.5)
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    model.train()
    losses = token_losses(model, np.arange(100) % 11, 8, windows=5)
    assert losses.losses.shape == (5, 8)
    np.testing.assert_allclose(losses.losses, math.log(11), rtol=1e-6)
    np.testing.assert_allclose(losses.confidence, 1 / 11, rtol=1e-5)
    assert model.training  # left as it was found
    # The first window's targets are tokens 1 to 8, in order.
    assert losses.targets[0].tolist() == list(range(1, 9))
