"""What the training loop reads at each step."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from descend.config import make_config
from descend.data.batches import BatchSampler
from descend.training.loop import seed_generators, train
from descend.training.training_run import create_run


@dataclass(frozen=True)
class RecordingSampler(BatchSampler):
    """A sampler that notes the BPE-dropout of each step, over that of the settings."""

    scales: list[float] = field(default_factory=list)

    def batch(self, step: int, dropout_scale: float = 1.0) -> NDArray[np.int64]:
        self.scales.append(dropout_scale)
        return super().batch(step, dropout_scale)


@pytest.mark.parametrize(
    ("schedule", "epochs", "whole_fraction", "full_fraction"),
    [("wsd", 4, 0.2, 0.5), ("wsd", 12, 0.1, 0.5), ("linear", 4, 0.4, 0.0), ("constant", 4, 0, 1)],
)
def test_train_step_reads_whole_tokens_when_the_learning_rate_is_low(
    tiny: dict[str, Any], schedule: str, epochs: int, whole_fraction: float, full_fraction: float
) -> None:
    keys = {"tokenizer": "bpe", "bpe_dropout": 0.3, "schedule": schedule, "warmup_steps": 0}
    keys["epoch"] = epochs
    run = create_run(make_config(tiny | keys), Path("run"))
    given = {f.name: getattr(run.plan.batches, f.name) for f in fields(BatchSampler)}
    sampler = RecordingSampler(**given)
    assert sampler.bpe_dropout is not None
    for _ in train(run.state, replace(run.plan, batches=sampler)):
        pass
    assert sampler.scales == sorted(sampler.scales, reverse=True)
    steps = run.plan.total_steps
    assert sampler.scales.count(0.0) == pytest.approx(whole_fraction * steps, abs=1)
    assert sampler.scales.count(1.0) == pytest.approx(full_fraction * steps, abs=1)


@pytest.mark.parametrize("seed", [0, 42 * 1_000_003 + 7, 2**63 - 1])
def test_seed_generators_draws_as_torch_does(seed: int) -> None:
    torch.manual_seed(seed)
    expected = torch.rand(9)
    assert not torch.equal(torch.rand(9), expected)
    seed_generators(seed)
    assert torch.equal(torch.rand(9), expected)
