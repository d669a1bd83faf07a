"""The logit lens, held against the model's own output and against a hand computation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from descend.metrics.layer_predictions import layer_logits, next_token_losses, top_tokens
from descend.model.shape import ModelShape
from descend.model.transformer import Transformer

IDS = np.arange(3, 13)


def make_model(architecture: str, dropout_rate: float = 0.0) -> Transformer:
    torch.manual_seed(1)
    shape = ModelShape(
        architecture=architecture, vocab_size=50, embed_dim=16, num_heads=2, num_layers=3,
        ff_dim=32, max_seq_len=16,
    )  # type: ignore[arg-type]  # fmt: skip
    model = Transformer(shape, dropout_rate)
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return model


@pytest.mark.parametrize("architecture", ["gpt", "modern"])
def test_layer_logits_end_with_the_output_of_the_model(architecture: str) -> None:
    model = make_model(architecture, dropout_rate=0.5)  # which evaluation mode leaves out
    logits = layer_logits(model, IDS)
    assert logits.shape == (4, 10, 50)
    assert model.training
    with torch.no_grad():
        output = model.eval()(torch.from_numpy(IDS)[None])[0]
    assert torch.equal(logits[-1], output)
    assert not torch.allclose(logits[0], output)
    assert not model.blocks[0]._forward_pre_hooks
    assert not model.blocks[2]._forward_hooks


@pytest.mark.parametrize("architecture", ["gpt", "modern"])
def test_layer_logits_match_layers_applied_by_hand(architecture: str) -> None:
    model = make_model(architecture).eval()
    ids = torch.from_numpy(IDS)[None]
    positions = torch.arange(10)
    state, rotation = model.token_embedding(ids), None
    if model.position_embedding is None:
        rotation = model._rotation(positions, None)
    else:
        state = state + model.position_embedding(positions)
    by_hand = [model.head(model.final_norm(state))[0]]
    for layer, block in enumerate(model.blocks):
        state = block(state, rotation, layer, None)
        by_hand.append(model.head(model.final_norm(state))[0])
    assert torch.allclose(layer_logits(model, IDS), torch.stack(by_hand), atol=1e-5)


def test_next_token_losses_match_a_hand_computation() -> None:
    logits = torch.tensor([[math.log(3.0), 0.0], [0.0, math.log(7.0)], [0.0, 0.0]])
    losses = next_token_losses(logits, np.array([1, 0, 1]))
    assert losses.tolist() == pytest.approx([-math.log(3 / 4), -math.log(7 / 8)])


def test_top_tokens_are_ordered_and_sum_to_one() -> None:
    top = top_tokens(torch.tensor([0.0, math.log(6.0), math.log(3.0)]), 9)
    assert [token for token, _ in top] == [1, 2, 0]
    assert [p for _, p in top] == pytest.approx([0.6, 0.3, 0.1])
