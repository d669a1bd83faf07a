"""What flows through a network, on networks made so that the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from descend.metrics.activations import block_activation_stats, dead_unit_fraction, effective_rank
from descend.model.shape import ModelShape
from descend.model.transformer import Transformer

IDS = np.random.default_rng(0).integers(0, 50, (8, 16))


def network(architecture: str = "modern") -> Transformer:
    torch.manual_seed(0)
    shape = ModelShape(
        architecture=architecture, vocab_size=50, embed_dim=16, num_heads=2, num_layers=2,
        ff_dim=32, max_seq_len=16,
    )  # type: ignore[arg-type]  # fmt: skip
    model = Transformer(shape, dropout_rate=0.5)
    for weight in model.parameters():
        if weight.ndim == 2:
            torch.nn.init.normal_(weight, std=0.3)
    return model


@pytest.mark.parametrize("directions", [1, 3, 7])
def test_equal_directions_are_counted(directions: int) -> None:
    """Points at +e and -e of so many axes, each as far out: as many directions, all alike."""
    axes = torch.eye(9)[:directions] * 5
    points = torch.cat([axes, -axes]).repeat(4, 1) + torch.randn(9)  # where they stand is no matter
    assert effective_rank(points) == pytest.approx(directions, rel=1e-4)


def test_effective_rank_matches_singular_values() -> None:
    torch.manual_seed(1)
    x = torch.randn(200, 12) @ torch.diag(torch.logspace(0, -3, 12))
    values = np.linalg.svd((x - x.mean(0)).double().numpy(), compute_uv=False)
    shares = values / values.sum()
    assert effective_rank(x) == pytest.approx(np.exp(-(shares * np.log(shares)).sum()), rel=1e-3)


def test_effective_rank_handles_constant_and_nan_input() -> None:
    assert effective_rank(torch.full((20, 4), 3.7)) == 0.0
    assert np.isnan(effective_rank(torch.full((20, 4), torch.nan)))


def test_dead_fraction_matches_never_active_units() -> None:
    units = torch.zeros(10, 8)
    units[3, :5] = 1.0  # five speak, once
    units[:, 5] = 1e-5  # one whispers
    assert dead_unit_fraction(units) == pytest.approx(3 / 8)
    assert dead_unit_fraction(torch.zeros(4, 4)) == 1.0


@pytest.mark.parametrize("architecture", ["gpt", "modern"])
def test_dead_units_are_attributed_to_the_correct_block(architecture: str) -> None:
    model = network(architecture)
    before = block_activation_stats(model, IDS)
    assert all(flow.dead_unit_fraction == 0 for flow in before)
    assert model.training
    with torch.no_grad():
        model.blocks[1].ff.up.weight[:8] = 0  # type: ignore[union-attr, index]
        if architecture == "gpt":
            model.blocks[1].ff.up.bias[:8] = -20  # type: ignore[union-attr, index]
    assert [flow.dead_unit_fraction for flow in block_activation_stats(model, IDS)] == [0, 8 / 32]


def test_effective_rank_measures_block_output() -> None:
    model = network()
    with torch.no_grad():
        for block in model.blocks:  # nothing is added: what leaves is the embedding
            block.attention.output.weight.zero_()  # type: ignore[union-attr, operator]
            block.ff.down.weight.zero_()  # type: ignore[union-attr, operator]
        model.token_embedding.weight.mul_(7)
    rows = model.token_embedding.weight.detach()[torch.from_numpy(IDS)]
    for flow in block_activation_stats(model, IDS):
        assert flow.effective_rank == pytest.approx(effective_rank(rows.flatten(0, 1)), rel=1e-6)
