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
    """A sampler that notes which steps are read without BPE-dropout."""

    whole_steps: list[bool] = field(default_factory=list)

    def batch(self, step: int, keep_merges: bool = False) -> NDArray[np.int64]:
        self.whole_steps.append(keep_merges)
        return super().batch(step, keep_merges)


@pytest.mark.parametrize(
    ("schedule", "fraction"), [("wsd", 0.15), ("linear", 0.3), ("constant", 0.0)]
)
def test_train_step_reads_whole_tokens_when_the_learning_rate_is_low(
    tiny: dict[str, Any], schedule: str, fraction: float
) -> None:
    keys = {"tokenizer": "bpe", "bpe_dropout": 0.3, "schedule": schedule, "warmup_steps": 0}
    run = create_run(make_config(tiny | keys), Path("run"))
    given = {f.name: getattr(run.plan.batches, f.name) for f in fields(BatchSampler)}
    sampler = RecordingSampler(**given)
    assert sampler.bpe_dropout is not None
    for _ in train(run.state, replace(run.plan, batches=sampler)):
        pass
    assert sampler.whole_steps == sorted(sampler.whole_steps)  # first with dropout, then without
    assert sum(sampler.whole_steps) == pytest.approx(fraction * run.plan.total_steps, abs=1)


@pytest.mark.parametrize("seed", [0, 42 * 1_000_003 + 7, 2**63 - 1])
def test_seed_generators_draws_as_torch_does(seed: int) -> None:
    torch.manual_seed(seed)
    expected = torch.rand(9)
    assert not torch.equal(torch.rand(9), expected)
    seed_generators(seed)
    assert torch.equal(torch.rand(9), expected)
