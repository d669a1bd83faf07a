"""Attention weights, held against what the layer itself makes of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from descend.metrics.attention import (
    attention_weights,
    head_attention_patterns,
    max_attention_logit,
)
from descend.model.shape import ModelShape
from descend.model.transformer import SelfAttention, Transformer


@pytest.mark.parametrize("architecture", ["gpt", "modern"])
@pytest.mark.parametrize("kernel", ["matmul", "fused"])
def test_attention_weights_reproduce_the_output(architecture: str, kernel: str) -> None:
    torch.manual_seed(1)
    shape = ModelShape(
        architecture=architecture, vocab_size=50, embed_dim=16, num_heads=2, num_layers=2,
        ff_dim=32, max_seq_len=16,
    )  # type: ignore[arg-type]  # fmt: skip
    model = Transformer(shape, attention=kernel)  # type: ignore[arg-type]
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    ids = np.arange(3, 13)
    given: list[tuple[SelfAttention, torch.Tensor, torch.Tensor]] = []
    for module in model.modules():
        if isinstance(module, SelfAttention):
            module.register_forward_hook(lambda m, i, o: given.append((m, i[0], o)))
    weights = attention_weights(model, ids)
    assert weights.shape == (2, 2, 10, 10)
    assert np.allclose(weights.sum(-1), 1, atol=1e-5)
    assert (np.triu(weights, 1) == 0).all()
    assert np.abs(weights[0] - weights[1]).max() > 0.01
    for layer, (module, x_BTD, out_BTD) in enumerate(given):
        v_BTHK = module.value(x_BTD).view(1, 10, 2, 8)
        mixed = torch.einsum("hts,bshk->bthk", torch.from_numpy(weights[layer]), v_BTHK)
        expected = module.output(mixed.reshape(1, 10, 16))
        assert torch.allclose(expected, out_BTD, atol=1e-5)


def test_attention_statistics_match_closed_form() -> None:
    even = np.tril(np.ones((4, 4))) / np.arange(1, 5)[:, None]
    before = np.eye(4, k=-1)
    before[0, 0] = 1
    wide, narrow = head_attention_patterns(np.stack([even, before])[None])
    assert (wide.layer, wide.head, narrow.head) == (1, 1, 2)
    assert wide.mean_distance == pytest.approx((0.5 + 1 + 1.5) / 3)
    assert wide.effective_positions == pytest.approx((2 + 3 + 4) / 3)
    assert wide.self_weight == wide.first_token_weight == pytest.approx((1 / 2 + 1 / 3 + 1 / 4) / 3)
    assert (narrow.mean_distance, narrow.previous_token_weight, narrow.self_weight) == (1, 1, 0)
    assert narrow.first_token_weight == pytest.approx(1 / 3)
    assert narrow.effective_positions == pytest.approx(1)


def test_max_attention_logit_is_the_maximum_of_scores_made_by_hand() -> None:
    shape = ModelShape(
        architecture="gpt", vocab_size=8, embed_dim=8, num_heads=2, num_layers=1, ff_dim=16,
        max_seq_len=12,
    )  # fmt: skip
    model = Transformer(shape)
    attention = model.blocks[0].attention
    assert isinstance(attention, SelfAttention)
    with torch.no_grad():
        for part in (attention.query, attention.key):
            part.weight.zero_()
            part.bias.zero_()
    assert max_attention_logit(model, np.arange(8)) == 0
    given: list[torch.Tensor] = []
    attention.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0][0]))
    with torch.no_grad():
        attention.query.weight[:4] = attention.key.weight[:4] = 100 * torch.eye(8)[:4]
    value = max_attention_logit(model, np.arange(8))
    x_TK = given[0][:, :4].double() * 100
    expected = (x_TK @ x_TK.T / 2).tril()  # K = 4, whose root is 2
    assert value == pytest.approx(float(expected.abs().max()), rel=1e-4)
