"""Computing a batch in parts gives the gradients of the whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from descend.config import make_config
from descend.training.job import new_job
from descend.training.loop import backward


def gradients(tiny: dict[str, Any]) -> tuple[dict[str, torch.Tensor], float, float]:
    job = new_job(make_config(tiny), Path("run"))
    loss, accuracy = backward(job.state, job.course, 3)
    found = {name: p.grad for name, p in job.state.model.named_parameters()}
    assert all(g is not None for g in found.values())
    return found, loss, accuracy  # type: ignore[return-value]


@pytest.mark.parametrize("architecture", ["gpt", "modern"])
@pytest.mark.parametrize("batch_size", [8, 7])
def test_parts_add_up_to_the_whole(
    tiny: dict[str, Any], architecture: str, batch_size: int
) -> None:
    tiny |= {"architecture": architecture, "batch_size": batch_size, "label_smoothing": 0.1}
    whole, loss, accuracy = gradients(tiny)
    for parts in (2, 3, 4, batch_size):
        found, part_loss, part_accuracy = gradients(tiny | {"gradient_accumulation": parts})
        assert part_loss == pytest.approx(loss, abs=1e-5)
        assert part_accuracy == accuracy
        for name, gradient in whole.items():
            torch.testing.assert_close(found[name], gradient, atol=1e-5, rtol=1e-5, msg=name)


def test_recomputing_activations_changes_nothing(tiny: dict[str, Any]) -> None:
    whole, loss, _ = gradients(tiny)
    found, again, _ = gradients(tiny | {"activation_checkpointing": True})
    assert again == loss
    for name, gradient in whole.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-6, rtol=1e-5, msg=name)
