"""How many steps it takes to memorize random sequences."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F
from torch.optim import AdamW

from descend.metrics.memorization import MEMORIZED_LOSS, MemorizationResult, train_on_random_tokens
from descend.model.shape import ModelShape
from descend.model.transformer import Transformer


def memory(
    sequences: int, rate: float = 0.01, width: int = 32, steps: int = 200, seconds: float = math.inf
) -> MemorizationResult:
    torch.manual_seed(0)
    shape = ModelShape(
        architecture="gpt", vocab_size=64, embed_dim=width, num_heads=2, num_layers=1,
        ff_dim=2 * width, max_seq_len=16,
    )  # fmt: skip
    model = Transformer(shape)
    return train_on_random_tokens(
        model, [AdamW(model.parameters(), lr=rate)], sequences, 16, max_steps=steps,
        max_seconds=seconds,
        loss=lambda logits, targets: F.cross_entropy(logits.flatten(0, 1), targets.flatten()),
    )  # fmt: skip


def test_memorization_takes_longer_for_more_sequences() -> None:
    one, four = memory(1), memory(4)
    assert one.steps is not None
    assert four.steps is not None
    assert 1 < one.steps < four.steps
    assert one.loss < MEMORIZED_LOSS
    assert one.num_updates == one.steps


def test_memorization_fails_without_steps_or_capacity() -> None:
    still = memory(4, rate=0.0, steps=5)
    assert still.steps is None
    assert still.num_updates == 5
    small, large = memory(64, width=8), memory(64, width=64)
    assert small.steps is None
    assert small.loss > large.loss + 0.5


def test_memorization_stops_on_timeout_or_divergence() -> None:
    assert memory(1, seconds=60.0).steps is not None
    none = memory(1, seconds=0.0)
    assert (none.steps, none.num_updates) == (None, 0)
    assert none.loss > 4  # ln 64 is 4.16
    wild = memory(1, rate=1e30)
    assert wild.steps is None
    assert 0 < wild.num_updates < 10
    assert not math.isfinite(wild.loss)
