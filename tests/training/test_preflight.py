"""Before our own training: what is broken on purpose is noticed, and nothing is changed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from descend.config import make_config
from descend.errors import PreflightError
from descend.model import transformer
from descend.model.initialize import initialize
from descend.model.shape import shape_of
from descend.model.transformer import Transformer
from descend.training.optimizer import make_optimizers
from descend.training.preflight import preflight

SMALL = {"embed_dim": 16, "num_heads": 2, "num_layers": 2, "ff_dim": 32, "max_seq_len": 32,
         "seq_len": 16, "batch_size": 4, "vocab_size": 300}  # fmt: skip

BATCH = np.random.default_rng(0).integers(0, 300, (4, 17))


def made(**changes: object) -> tuple[Transformer, list[torch.optim.Optimizer]]:
    config = make_config({**SMALL, "dropout_rate": 0.2, **changes})
    model = Transformer(shape_of(config, 300), config.dropout_rate)
    initialize(model, 0)
    model.train()
    return model, make_optimizers(model, config)


@pytest.mark.parametrize("architecture", ["gpt", "modern"])
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_sound_network_passes_and_no_bit_changes(architecture: str, optimizer: str) -> None:
    model, optimizers = made(architecture=architecture, optimizer=optimizer)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    numbers = torch.get_rng_state()
    preflight(model, optimizers, BATCH, fresh=True)
    assert all(torch.equal(before[name], weight) for name, weight in model.named_parameters())
    assert torch.equal(numbers, torch.get_rng_state())
    assert model.training
    assert all(weight.grad is None for weight in model.parameters())


@pytest.mark.parametrize("architecture", ["gpt", "modern"])
def test_a_mask_that_leaks_is_noticed(architecture: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def one_too_far(T: int, S: int, like: torch.Tensor) -> torch.Tensor:
        return torch.full((T, S), -torch.inf, dtype=like.dtype).triu(S - T + 2)

    monkeypatch.setattr(transformer, "_future_mask", one_too_far)
    with pytest.raises(PreflightError, match="later token"):
        preflight(*made(architecture=architecture), BATCH, fresh=True)


def test_a_weight_without_an_optimizer_is_noticed() -> None:
    model, optimizers = made(architecture="gpt", optimizer="adamw")
    optimizers[0].param_groups[0]["params"].pop()
    with pytest.raises(PreflightError, match="not exactly once"):
        preflight(model, optimizers, BATCH, fresh=True)


def test_dropout_in_evaluation_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    model, optimizers = made(architecture="gpt")
    monkeypatch.setattr(torch.nn.Dropout, "forward",
                        lambda self, x: torch.nn.functional.dropout(x, self.p))  # fmt: skip
    with pytest.raises(PreflightError, match="from call to call"):
        preflight(model, optimizers, BATCH, fresh=True)


def test_weights_that_are_too_large_are_noticed_in_a_fresh_network_only() -> None:
    model, optimizers = made(architecture="gpt")
    with torch.no_grad():
        model.final_norm.weight.mul_(100)
    with pytest.raises(PreflightError, match="first loss"):
        preflight(model, optimizers, BATCH, fresh=True)
    preflight(model, optimizers, BATCH, fresh=False)
