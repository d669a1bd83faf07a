"""What a training run follows: fixed before the first step."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property

from descend.config import RunConfig
from descend.data.batches import BatchSampler
from descend.machine import Execution
from descend.metrics.evaluation import Evaluation
from descend.model.transformer import Transformer
from descend.training.cuda_graphs import LossFn
from descend.training.distillation import make_distillation_loss
from descend.training.loss import make_loss_fn
from descend.training.process_group import SINGLE_PROCESS, DistributedLoss, ProcessGroup
from descend.training.time_limit import TimeLimit

Evaluate = Callable[[Transformer, ProcessGroup], Evaluation]
"""Judges a model on the validation set; the processes of a group share the work."""


@dataclass(frozen=True)
class TrainPlan:
    """What a run follows: fixed before the first step, the same after a resume."""

    config: RunConfig
    execution: Execution
    batches: BatchSampler
    epochs: int
    total_steps: int
    """Steps of the whole run: `batches.steps(epochs)`, or fewer where a budget ends it sooner."""
    learning_rate: Callable[[int], float]
    evaluate: Evaluate | None
    """Judges the model at the end of an epoch; None: epochs pass without judgment or record."""
    diverged_above: float = math.inf
    """Loss (nats per token) above which numbers have exploded, though they are finite."""
    time_limit: TimeLimit | None = None
    """Ends the run sooner, with its schedule; the steps are then at most so many."""
    group: ProcessGroup = SINGLE_PROCESS
    """The processes that share the work of each step."""
    teachers: tuple[Transformer, ...] = ()
    """Models whose predictions are learned as well."""

    @cached_property
    def loss_fn(self) -> LossFn:
        """Loss and hits of a batch; what is recorded for a GPU lives as long as the plan."""
        compute = (
            make_distillation_loss(self.teachers, self.execution)
            if self.teachers
            else make_loss_fn(self.execution)
        )
        # Where the weights are divided, FSDP2 averages the gradients.
        is_alone = self.group.world_size == 1 or self.execution.sharded
        return compute if is_alone else DistributedLoss(compute)

    def sync_gradients(self, model: Transformer, is_last: bool) -> AbstractContextManager[object]:
        """Context of a micro-batch: the gradients are exchanged once a step, in the last one."""
        loss_fn = self.loss_fn
        if isinstance(loss_fn, DistributedLoss):
            return loss_fn.sync_gradients(model, is_last)
        return nullcontext()
