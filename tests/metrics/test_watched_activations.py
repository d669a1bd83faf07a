"""What flows through other programs' layers, compared with what is computed by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel

from descend.metrics.watched_activations import ActivationRecorder, attention_entropy


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Linear(8, 6)
        self.down = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.down(torch.relu(self.up(x)))
        return y


def test_activations_are_those_of_the_layers() -> None:
    torch.manual_seed(0)
    model, x = Network(), torch.randn(4, 16, 8)
    with torch.no_grad():
        model.up.bias[:2] = -100.0  # two of six units never speak
    recorder = ActivationRecorder(model)
    recorder.start()
    model(x)
    model(100 * x)  # of several passes the first is read
    stats = recorder.take(7)
    assert stats is not None
    assert stats.step == 7
    with torch.no_grad():
        up = model.up(x)
        down = model.down(up.relu())
    assert stats.output_rms["up"] == pytest.approx(float(up.square().mean().sqrt()), rel=1e-5)
    assert stats.output_rms["down"] == pytest.approx(float(down.square().mean().sqrt()), rel=1e-5)
    assert stats.dead_unit_fraction == {"down": pytest.approx(2 / 6)}  # data has no units
    assert stats.attention_entropy == {}
    assert not model.up._forward_hooks


def test_activations_are_not_read_in_evaluation() -> None:
    model = Network()
    recorder = ActivationRecorder(model)
    recorder.start()
    model.eval()(torch.ones(2, 8))
    assert recorder.take(1) is None


def test_activations_of_a_compiled_model_are_not_read() -> None:
    model = Network()
    model.up.compile(backend="eager")
    recorder = ActivationRecorder(model)
    recorder.start()
    assert not model.down._forward_hooks


def test_attention_entropy_of_transformers_is_that_of_its_weights() -> None:
    torch.manual_seed(0)
    shape = GPT2Config(
        vocab_size=32, n_positions=16, n_embd=16, n_layer=2, n_head=2, attn_pdrop=0.0,
        attn_implementation="eager",
    )  # fmt: skip
    model, ids = GPT2LMHeadModel(shape).train(), torch.randint(32, (2, 16))
    recorder = ActivationRecorder(model)
    recorder.start()
    model(ids)
    stats = recorder.take(1)
    assert stats is not None
    assert set(stats.attention_entropy) == {"transformer.h.0.attn", "transformer.h.1.attn"}
    assert all(0.9 < value <= 1 for value in stats.attention_entropy.values())  # a random start


def test_attention_entropy_is_one_for_an_even_look_and_zero_for_one_position() -> None:
    even = torch.ones(5, 5).tril()[None]
    assert attention_entropy(even / even.sum(-1, keepdim=True)) == pytest.approx(1.0)
    weights = torch.full((1, 4, 4), 1e-30)
    weights[..., 0] = 1.0
    assert attention_entropy(weights) == pytest.approx(0.0, abs=1e-20)
    assert attention_entropy(torch.randn(1, 4, 4)) is None
    assert attention_entropy(torch.eye(4)[None]) is None  # each row sees one position
    assert attention_entropy(torch.full((1, 2, 2), math.nan)) is None
