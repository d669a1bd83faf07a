"""The choice of an execution for a network that is timed in a moment."""

from __future__ import annotations

import torch

from descend.config import make_config
from descend.data.batches import BatchSampler
from descend.model.shape import shape_from_run_config
from descend.training.execution.autotune import autotune_execution
from descend.training.execution.candidate_timing import TuningResult
from descend.training.step_inputs import make_step_inputs

SMALL = {"embed_dim": 16, "num_heads": 2, "num_layers": 1, "ff_dim": 16, "seq_len": 8,
         "max_seq_len": 8, "device": "cpu"}  # fmt: skip


def choose(steps: int = 0, **keys: object) -> TuningResult:
    """Choose for a run of `steps`, with `keys` in place of the settings of `SMALL`."""
    config = make_config(SMALL | keys)
    tokens = torch.arange(500).numpy() % 300
    batches = BatchSampler(tokens, 8, config.batch_size, 0)
    shape = shape_from_run_config(config, 300)
    return autotune_execution(make_step_inputs(config, shape, batches), steps)
