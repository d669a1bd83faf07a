"""Parts switched off, held against a network whose weights say the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from descend.metrics.ablation import Ablation, ablate, ablation_effects, all_ablations
from descend.metrics.layer_predictions import next_token_losses

from .test_layer_predictions import IDS, make_model


def test_ablate_none_changes_nothing() -> None:
    model, ids = make_model("modern").eval(), torch.from_numpy(IDS)[None]
    before = model(ids)
    with ablate(model, None):
        assert torch.equal(model(ids), before)


@pytest.mark.parametrize("architecture", ["gpt", "modern"])
@pytest.mark.parametrize("ablation", [Ablation(2, 1), Ablation(3, 2), Ablation(1)])
def test_ablate_changes_the_output_only_while_it_lasts(
    architecture: str, ablation: Ablation
) -> None:
    model, ids = make_model(architecture).eval(), torch.from_numpy(IDS)[None]
    before = model(ids)
    with ablate(model, ablation):
        assert not torch.allclose(model(ids), before, atol=1e-3)
    assert torch.equal(model(ids), before)


@pytest.mark.parametrize("architecture", ["gpt", "modern"])
def test_ablated_head_equals_zeroed_columns_of_its_output_matrix(architecture: str) -> None:
    model, ids = make_model(architecture).eval(), torch.from_numpy(IDS)[None]
    with ablate(model, Ablation(2, 2)):
        ablated = model(ids)
    with torch.no_grad():
        model.blocks[1].attention.output.weight[:, 8:] = 0
    assert torch.allclose(model(ids), ablated, atol=1e-5)


def test_ablated_block_equals_a_network_without_it() -> None:
    model, ids = make_model("gpt").eval(), torch.from_numpy(IDS)[None]
    with ablate(model, Ablation(2)):
        ablated = model(ids)
    del model.blocks[1]
    assert torch.allclose(model(ids), ablated, atol=1e-5)


def test_ablation_effects_name_every_part_once_with_its_rise_in_loss() -> None:
    model = make_model("gpt", dropout_rate=0.5)
    effects = dict(ablation_effects(model, IDS))
    assert model.training
    assert list(effects) == all_ablations(model)
    assert len(effects) == 3 * (1 + 2)
    model.eval()
    ids = torch.from_numpy(IDS)[None]
    loss = next_token_losses(model(ids)[0].detach(), IDS).mean()
    with ablate(model, Ablation(1, 2)):
        without = next_token_losses(model(ids)[0].detach(), IDS).mean()
    assert effects[Ablation(1, 2)] == pytest.approx(without - loss, abs=1e-5)
    # A head whose output weighs nothing is worth nothing.
    with torch.no_grad():
        model.blocks[2].attention.output.weight[:, :8] = 0
    assert dict(ablation_effects(model, IDS))[Ablation(3, 1)] == 0


@pytest.mark.parametrize("ablation", [Ablation(0), Ablation(4), Ablation(1, 0), Ablation(1, 3)])
def test_ablate_refuses_parts_that_are_not_there(ablation: Ablation) -> None:
    with pytest.raises(IndexError), ablate(make_model("gpt"), ablation):
        pass


def test_ablation_needs_only_two_tokens() -> None:
    assert all(np.isfinite(rise) for _, rise in ablation_effects(make_model("gpt"), IDS[:2]))
