"""Metrics of the next optimizer step, at the peak learning rate."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from descend.diagnosis.run_context import RunContext
from descend.machine import Execution
from descend.metrics.measurement import Measurement
from descend.metrics.step_size import critical_step_multiplier, gradient_noise_scale
from descend.training.checkpoint_model import load_checkpoint_state
from descend.training.loss import mean_cross_entropy
from descend.training.optimizers import set_learning_rate
from descend.training.train_state import TrainState

PROBE_TOKENS = 4_096
"""Tokens of a batch that a step multiplier is searched on, at most 22 times."""
MICRO_BATCHES = 8
"""Parts for the gradient noise scale: enough for a factor of two either way."""


def measure_step(recorded_run: RunContext) -> Iterator[Measurement]:
    """Yield what the next optimizer step would do, at the peak learning rate; nothing where no step
    can be read."""
    state = load_newest_state(recorded_run) if recorded_run.steps else None
    if state is None:
        return
    plan, model = recorded_run.batches, state.model
    numbers = (
        np.arange(recorded_run.config.batch_size) + state.step * recorded_run.config.batch_size
    )
    own = torch.from_numpy(plan.sequences(numbers))
    rows = max(1, PROBE_TOKENS // recorded_run.config.seq_len)
    fresh = torch.from_numpy(plan.sequences(np.arange(rows) + int(numbers[-1]) + 1))
    model.eval()  # without dropout: two looks at one point must agree

    def loss_on_fresh() -> float:
        with torch.no_grad():
            return float(mean_cross_entropy(model(fresh[:, :-1]).float(), fresh[:, 1:], 0.0))

    micro = _micro_batches(recorded_run, state.step)
    if micro is not None:
        scale = gradient_noise_scale(
            model, micro, lambda b: mean_cross_entropy(model(b[:, :-1]).float(), b[:, 1:], 0.0)
        )
        yield Measurement("gradient_noise_scale", scale / recorded_run.tokens_per_step, "batches")
    weights = [p for p in model.parameters() if p.requires_grad]
    before = [w.detach().clone() for w in weights]
    model.zero_grad(set_to_none=True)
    for part in own.tensor_split(recorded_run.config.num_micro_batches):  # as training does
        loss = mean_cross_entropy(model(part[:, :-1]).float(), part[:, 1:], 0.0)
        (loss * (len(part) / len(own))).backward()  # type: ignore[no-untyped-call]
    set_learning_rate(state.optimizers, max(s.learning_rate for s in recorded_run.steps))
    for optimizer in state.optimizers:
        optimizer.step()
    update = [w.detach() - b for w, b in zip(weights, before, strict=True)]
    with torch.no_grad():
        for weight, old in zip(weights, before, strict=True):
            weight.copy_(old)
    multiplier = critical_step_multiplier(weights, update, loss_on_fresh)
    yield Measurement("critical_step_multiplier_fresh", multiplier, "times the step")


def _micro_batches(recorded_run: RunContext, step: int) -> list[torch.Tensor] | None:
    """Return `MICRO_BATCHES` equal parts of fresh text, of at most `PROBE_TOKENS` tokens
    together."""
    rows = max(1, PROBE_TOKENS // MICRO_BATCHES // recorded_run.config.seq_len)
    first = (step + 2) * recorded_run.config.batch_size
    ids = recorded_run.batches.sequences(np.arange(MICRO_BATCHES * rows) + first)
    return [torch.from_numpy(ids[n : n + rows]) for n in range(0, len(ids), rows)]


def load_newest_state(recorded_run: RunContext) -> TrainState | None:
    """Return the state of the newest checkpoint, on the CPU in float32.

    None without one, and where the model is gone whose adapters the run trains.
    """
    is_frozen_parent_gone = bool(recorded_run.config.lora_rank) and recorded_run.lacks_parent
    if recorded_run.checkpoint is None or is_frozen_parent_gone:
        return None
    execution = Execution("cpu", "float32", recorded_run.execution.attention, 1, "", "")
    return load_checkpoint_state(recorded_run, recorded_run.checkpoint, execution)
