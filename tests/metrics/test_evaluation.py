"""Evaluation against sums written out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from descend.metrics.evaluation import evaluate
from descend.metrics.weight_updates import WeightUpdateRecorder
from descend.model.initialization import initialize
from descend.model.shape import ModelShape
from descend.model.transformer import Transformer

BYTES = np.arange(1, 31)  # token i stands for i + 1 bytes


def network(noise: float = 0.5) -> Transformer:
    model = Transformer(ModelShape("gpt", 30, 16, 2, 1, 16, 8), dropout_rate=0.2)
    initialize(model, 0)
    with torch.no_grad():
        for weight in model.parameters():
            generator = torch.Generator().manual_seed(1)
            weight.add_(torch.randn(weight.shape, generator=generator) * noise)
    return model


@settings(deadline=None, max_examples=25)
@given(length=st.integers(2, 60), batch_size=st.integers(1, 5))
def test_every_token_but_the_first_is_predicted_once(length: int, batch_size: int) -> None:
    model = network()
    tokens = np.random.default_rng(length).integers(0, 30, length)
    evaluation = evaluate(model, tokens, BYTES, 8, batch_size=batch_size)
    total, hits = 0.0, 0
    model.eval()
    for start in range(0, length - 1, 8):
        window = torch.from_numpy(tokens[start : start + 9])[None]
        with torch.no_grad():
            logits = model(window[:, :-1]).double()
        total -= logits.log_softmax(-1).gather(-1, window[:, 1:, None]).sum().item()
        hits += (logits.argmax(-1) == window[:, 1:]).sum().item()
    assert evaluation.tokens == length - 1
    assert evaluation.loss == pytest.approx(total / (length - 1), rel=1e-5)
    assert evaluation.accuracy == hits / (length - 1)
    assert evaluation.perplexity == pytest.approx(math.exp(total / (length - 1)), rel=1e-4)
    assert evaluation.bytes == int(BYTES[tokens[1:]].sum())
    assert evaluation.bits_per_byte == pytest.approx(
        total / math.log(2) / evaluation.bytes, rel=1e-5
    )


def test_evaluation_is_deterministic_and_preserves_training_mode() -> None:
    tokens = np.arange(25) % 30
    model = network().train()
    first, second = (evaluate(model, tokens, BYTES, 8) for _ in range(2))
    assert first == second
    assert model.training


def test_max_windows_limits_evaluated_tokens() -> None:
    tokens = np.arange(161) % 30
    evaluation = evaluate(network(), tokens, BYTES, 8, max_windows=5)
    assert evaluation.tokens == 40


def test_evaluation_holds_few_logits_at_once_when_the_vocabulary_is_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tokens = np.arange(161) % 30
    model = network()
    sizes: list[int] = []
    expected = evaluate(model, tokens, BYTES, 8)
    model.register_forward_hook(lambda _, inputs, logits: sizes.append(logits.numel()))
    monkeypatch.setattr("descend.metrics.evaluation.MAX_LOGITS", 3 * 8 * 30)
    split = evaluate(model, tokens, BYTES, 8)
    assert max(sizes) == 3 * 8 * 30
    assert (split.tokens, split.accuracy) == (expected.tokens, expected.accuracy)
    assert split.loss == pytest.approx(expected.loss, rel=1e-6)


def test_matrix_watch_measures_the_last_step() -> None:
    model = network()
    model(torch.zeros((1, 4), dtype=torch.long)).sum().backward()
    watch = WeightUpdateRecorder()
    watch.before(model)
    with torch.no_grad():
        model.head.weight.mul_(1.01)
    record = watch.after(model, 7)
    assert record.update_to_weight_ratio["token_embedding.weight"] == pytest.approx(0.01, rel=1e-3)
    assert record.update_to_weight_ratio["blocks.0.ff.up.weight"] == 0.0
    gradient = model.blocks[0].ff.up.weight.grad  # type: ignore[union-attr, union-attr]
    assert record.gradient_rms["blocks.0.ff.up.weight"] == pytest.approx(
        gradient.square().mean().sqrt().item()
    )
    assert "blocks.0.ff.up.bias" not in record.weight_rms
