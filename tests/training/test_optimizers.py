"""Which weights are moved by what, and how far."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from descend.config import make_config
from descend.model.initialization import initialize
from descend.model.shape import Architecture, ModelShape
from descend.model.transformer import Transformer
from descend.training import muon
from descend.training.muon import Muon, orthogonalize
from descend.training.optimizers import clip_grad_norm, make_optimizers, set_learning_rate


def model_of(architecture: Architecture) -> Transformer:
    model = Transformer(ModelShape(architecture, 40, 16, 2, 2, 24, 12))
    initialize(model, 0)
    return model


@pytest.mark.parametrize("architecture", ["gpt", "modern"])
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_optimizer_groups_partition_parameters_without_vector_decay(
    architecture: Architecture, optimizer: str
) -> None:
    model = model_of(architecture)
    made = make_optimizers(model, make_config({"optimizer": optimizer, "weight_decay": 0.1}))
    groups = [g for o in made for g in o.param_groups]
    parameter_ids = [id(p) for g in groups for p in g["params"]]
    assert sorted(parameter_ids) == sorted(id(p) for p in model.parameters())
    decaying = [g for g in groups if g["weight_decay"] > 0]
    assert decaying
    assert all(p.ndim == 2 for g in decaying for p in g["params"])


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_one_rate_serves_all_groups(optimizer: str) -> None:
    made = make_optimizers(model_of("modern"), make_config({"optimizer": optimizer}))
    set_learning_rate(made, 0.002)
    for group in (g for o in made for g in o.param_groups):
        assert group["lr"] == pytest.approx(0.002 * group["scale"])
        assert group["scale"] >= 1


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_steps_lower_the_loss_of_a_batch(optimizer: str) -> None:
    model = model_of("modern")
    made = make_optimizers(model, make_config({"optimizer": optimizer}))
    set_learning_rate(made, 0.001)
    tokens = torch.arange(24).reshape(2, 12)
    losses = []
    for _ in range(12):
        loss = torch.nn.functional.cross_entropy(
            model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten()
        )
        loss.backward()
        losses.append(loss.item())
        for o in made:
            o.step()
            o.zero_grad()
    assert losses[-1] < losses[0] - 0.02


def test_clip_gradients_bounds_global_norm_unless_zero() -> None:
    model = model_of("gpt")
    for weight in model.parameters():
        weight.grad = torch.ones_like(weight)
    count = sum(p.numel() for p in model.parameters())
    assert clip_grad_norm(model, 0.0).item() == pytest.approx(count**0.5)
    assert model.head.weight.grad is not None
    assert torch.all(model.head.weight.grad == 1)
    assert clip_grad_norm(model, 1.0).item() == pytest.approx(count**0.5)
    norm = sum(p.grad.square().sum() for p in model.parameters() if p.grad is not None)
    assert float(norm) == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_muon_matches_torch_with_torch_polynomials(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(muon, "POLYNOMIALS", ((3.4445, -4.7750, 2.0315),) * 5)
    monkeypatch.setattr(muon, "SPECTRAL_NORM_MARGIN", 1.0)
    torch.manual_seed(0)
    start = [torch.randn(24, 16), torch.randn(16, 24), torch.randn(24, 16), torch.randn(16, 16)]
    ours, theirs = ([nn.Parameter(p.clone()) for p in start] for _ in range(2))
    one = Muon([{"params": ours, "weight_decay": 0.1}], 0.02, 0.95, dtype)
    other = torch.optim.Muon(theirs, lr=0.02, momentum=0.95, weight_decay=0.1)
    for _ in range(5):
        for mine, its in zip(ours, theirs, strict=True):
            mine.grad = torch.randn_like(mine)
            its.grad = mine.grad.clone()
        one.step()
        other.step()
    for begun, mine, its in zip(start, ours, theirs, strict=True):
        update, expected = (mine - begun).flatten(), (its - begun).flatten()
        assert expected.norm() > 0.1
        assert (update - expected).norm() < 0.02 * expected.norm()


@pytest.mark.parametrize(("rows", "columns"), [(16, 48), (48, 16), (32, 32)])
def test_orthogonal_keeps_directions_and_bends_singular_values(rows: int, columns: int) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(rows, columns)
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    values /= muon.SPECTRAL_NORM_MARGIN * values.norm()
    for a, b, c in muon.POLYNOMIALS:
        values = a * values + b * values**3 + c * values**5
    assert torch.allclose(orthogonalize(matrix[None])[0], left * values @ right, atol=1e-4)
    assert values.median() > 0.6
    assert values.max() < 2
