"""The network against what it must be, whatever the sizes."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from descend.model.initialization import initialize
from descend.model.shape import Architecture, ModelShape
from descend.model.transformer import Attention, Transformer

ARCHITECTURES: tuple[Architecture, ...] = ("gpt", "modern")


def build(
    architecture: Architecture, attention: Attention = "matmul", dropout_rate: float = 0.0
) -> Transformer:
    """A small network with noise in every weight, also where initialisation leaves zeros."""
    shape = ModelShape(architecture, 50, 16, 2, 2, 24, 12)
    model = Transformer(shape, dropout_rate, attention)
    initialize(model, 1)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn(weight.shape, generator=generator) * 0.2)
    return model.eval()


def ids(batch: int = 3, length: int = 12, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 50, (batch, length), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@settings(deadline=None, max_examples=20)
@given(position=st.integers(1, 11), seed=st.integers(0, 1000))
def test_no_position_sees_a_later_one(architecture: Architecture, position: int, seed: int) -> None:
    model, one = build(architecture), ids(seed=seed)
    other = one.clone()
    other[:, position:] = (other[:, position:] + 1) % 50
    with torch.no_grad():
        a, b = model(one), model(other)
    assert torch.equal(a[:, :position], b[:, :position])
    assert not torch.allclose(a[:, position:], b[:, position:])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_earlier_positions_and_their_order_matter(architecture: Architecture) -> None:
    model, one = build(architecture), ids(1)
    swapped = one.clone()
    swapped[:, [0, 1]] = one[:, [1, 0]]
    assert not torch.equal(one, swapped)
    with torch.no_grad():
        assert not torch.allclose(model(one)[:, -1], model(swapped)[:, -1], atol=1e-4)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_both_attention_kernels_agree(architecture: Architecture) -> None:
    written, fused = build(architecture, "matmul"), build(architecture, "fused")
    a, b = written(ids()), fused(ids())
    assert torch.allclose(a, b, atol=1e-5)
    a.logsumexp(-1).sum().backward()
    b.logsumexp(-1).sum().backward()
    for (name, p), q in zip(written.named_parameters(), fused.parameters(), strict=True):
        assert p.grad is not None, name
        assert q.grad is not None, name
        assert torch.allclose(p.grad, q.grad, atol=1e-4), name


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_activation_checkpointing_changes_no_gradient(architecture: Architecture) -> None:
    plain, saving = build(architecture).train(), build(architecture).train()
    saving.checkpoint_activations = True
    for model in (plain, saving):
        model(ids()).logsumexp(-1).sum().backward()
    for (name, p), q in zip(plain.named_parameters(), saving.parameters(), strict=True):
        assert p.grad is not None, name
        assert q.grad is not None, name
        assert torch.equal(p.grad, q.grad), name


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_dropout_acts_in_training_only(architecture: Architecture) -> None:
    model = build(architecture, dropout_rate=0.3)
    with torch.no_grad():
        assert torch.equal(model(ids()), model(ids()))
        model.train()
        assert not torch.equal(model(ids()), model(ids()))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_blanked_tokens_are_hidden_in_training_only(architecture: Architecture) -> None:
    model = build(architecture)
    one, other = torch.zeros(1, 8, dtype=torch.long), torch.ones(1, 8, dtype=torch.long)
    with torch.no_grad():
        logits = model(one)
        model.token_dropout = 0.999999
        assert torch.equal(model(one), logits)
        model.train()
        assert not torch.equal(model(one), logits)
        assert torch.equal(model(one), model(other))
        model.token_dropout = 0.5
        assert not torch.equal(model(one), model(other))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_fresh_network_knows_nothing(architecture: Architecture) -> None:
    shape = ModelShape(architecture, 500, 64, 4, 3, 128, 32)
    model = Transformer(shape)
    initialize(model, 3)
    tokens = torch.randint(0, 500, (4, 33), generator=torch.Generator().manual_seed(1))
    loss = torch.nn.functional.cross_entropy(
        model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten()
    )
    assert loss.item() == pytest.approx(math.log(500), abs=0.05)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_initial_weights_follow_from_the_seed_alone(architecture: Architecture) -> None:
    shape = ModelShape(architecture, 60, 16, 2, 2, 24, 12)
    first, again, other = (Transformer(shape) for _ in range(3))
    initialize(first, 5)
    torch.rand(7)  # the global generator plays no part
    initialize(again, 5)
    initialize(other, 6)
    pairs = zip(first.named_parameters(), again.parameters(), strict=True)
    assert all(torch.equal(p, q) for (_, p), q in pairs)
    assert not torch.equal(first.token_embedding.weight, other.token_embedding.weight)
    for name, weight in first.named_parameters():
        assert torch.isfinite(weight).all(), name
        if weight.ndim == 2 and weight.abs().sum() > 0:  # no two rows of a matrix are alike
            assert len(torch.unique(weight, dim=0)) == len(weight), name
