"""All that changes while a run trains: the one list of what a resume needs.

Random numbers are not in it: those of step n follow from the seed and n (see `loop`).
A test walks these fields and holds them against the saved checkpoint.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Annotated

import msgspec
import torch
from torch import Tensor
from torch.optim import Optimizer

from descend.model.transformer import Transformer
from descend.runs.events import Count, Real, Seconds
from descend.training.end_step import ScheduleSegment
from descend.training.row_shards import local_tensor
from descend.training.weight_shards import WeightShards


class EpochAccumulator(msgspec.Struct):
    """Sums over the epoch under way, for its line at the end."""

    steps: Count = 0
    loss_start: Real = 0.0
    loss_end: Real = 0.0
    accuracy_start: Real = 0.0
    accuracy_end: Real = 0.0
    seconds: Seconds = 0.0

    def add(self, epoch_steps: int, loss: float, accuracy: float, seconds: float) -> None:
        """Count one step of an epoch of `epoch_steps`."""
        edge = epoch_edge_steps(epoch_steps)
        if self.steps < edge:
            self.loss_start += loss / edge
            self.accuracy_start += accuracy / edge
        if self.steps >= epoch_steps - edge:
            self.loss_end += loss / edge
            self.accuracy_end += accuracy / edge
        self.steps += 1
        self.seconds += seconds


def epoch_edge_steps(epoch_steps: int) -> int:
    """Return steps that make the start, and the end, of an epoch: a twentieth, at least one."""
    return max(1, epoch_steps // 20)


@dataclass(frozen=True)
class BestWeights:
    """The weights with the lowest validation loss so far; on the CPU."""

    epoch: int
    validation_loss: float
    weights: dict[str, Tensor]


class RecentLosses(msgspec.Struct):
    """Recent training losses (nats), with which the next one is compared; see `roll_back`."""

    losses: list[Real] = msgspec.field(default_factory=list)
    num_high: Count = 0
    """Steps in a row whose loss stood far above them; those are not among them."""
    exploded_at: Count | None = None
    """First step (from 1) of those up to now whose loss was above `Course.diverged_above`."""


class RollbackState(msgspec.Struct, frozen=True):
    """What rollbacks changed: going back does not undo it."""

    num_rollbacks: Count = 0
    num_adjustments: Count = 0
    """Changes tried against the last trouble."""
    last_step: Count = 0
    """Step at which that was noticed."""
    batches_skipped: Count = 0
    """Step n reads the batch of step n + this."""
    gradient_clip: Annotated[float, msgspec.Meta(gt=0, le=3.5e38)] | None = None
    """Instead of the configuration's."""
    rate_factor: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    """On the learning rate."""


class Decay(msgspec.Struct, frozen=True):
    """The end of a run that overfits: the rate falls linearly from `rate` to zero."""

    begin: Count
    """Steps finished before it."""
    steps: Count
    rate: Real

    def rate_at(self, step: int) -> float:
        """Return the learning rate of `step` (from 0), which lies in it."""
        done = step - self.begin
        warmup = min(1.0, (done + 1) / (DECAY_WARMUP + 1))
        return self.rate * min(warmup, 1.0 - done / max(self.steps, 1))


DECAY_WARMUP = 3
"""Steps in which the rate rises again: the moments of the optimizer begin anew."""


class ClockState(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided so far of a run with `minutes`; see `time_limit`."""

    seconds: Seconds
    """From the first step to the saved model."""
    elapsed: Seconds
    progress: Real = 0.0
    """Fraction of the schedule at the step that was made last."""
    segment: ScheduleSegment | None = None
    """How the schedule goes on to its end step; None until one was chosen."""
    next_choice: Real = 0.0
    """Seconds of training from which the end step is looked at again."""
    step_seconds: Seconds
    evaluation_seconds: Seconds
    recent: list[tuple[Real, Real]]
    """Loss and accuracy of the last steps."""
    is_over: bool
    """Whether the last evaluation was made."""


class StateScalars(msgspec.Struct, frozen=True):
    """Everything of a `TrainState` that is not a tensor."""

    step: Count
    seconds: Seconds
    skipped: Count
    tally: EpochAccumulator
    scaler: dict[str, int | float]
    best_epoch: Count | None
    best_validation_loss: Real | None
    optimizer_numbers: list[dict[str, dict[str, int | float]]]
    recent: RecentLosses = msgspec.field(default_factory=RecentLosses)
    rollback_state: RollbackState = RollbackState()
    decay: Decay | None = None
    clock: ClockState | None = None
    run_id: str | None = None
    """None in a checkpoint of an older descend."""


@dataclass(frozen=True)
class Snapshot:
    """A run between two steps as plain data; made and put back by `snapshot`."""

    weights: dict[str, Tensor]
    optimizers: list[dict[str, Tensor]]
    best: BestWeights | None
    scalars: StateScalars


@dataclass
class TrainState:
    """A run between two steps. `step` counts finished steps."""

    model: Transformer
    optimizers: list[Optimizer]
    scaler: torch.amp.GradScaler
    step: int = 0
    tally: EpochAccumulator = field(default_factory=EpochAccumulator)
    best: BestWeights | None = None
    elapsed_seconds: float = 0.0
    """Time spent in training steps and evaluation, over all sessions."""
    skipped: int = 0
    """Steps in a row without an update, because float16 gradients overflowed."""
    recent: RecentLosses = field(default_factory=RecentLosses)
    rollback_state: RollbackState = field(default_factory=RollbackState)
    decay: Decay | None = None
    """How the run ends, where it overfits."""
    clock: ClockState | None = None
    """What the clock decided, of a run with `minutes`."""
    rollback_snapshot: Snapshot | None = None
    """The last state whose next loss was found to be as usual: what a rollback goes back to."""
    run_id: str = field(default_factory=lambda: secrets.token_hex(8))
    """By which a run knows its own checkpoints; run.json has it too."""
    shards: WeightShards | None = None
    """What this process holds of the weights, where processes divide them. Not saved: a checkpoint
    is the same for any number of processes."""


def last_step(state: TrainState, total_steps: int) -> int:
    """Return the step that the run ends with: `total_steps`, or sooner where it overfits."""
    return state.decay.begin + state.decay.steps if state.decay else total_steps


def trained_weights(model: Transformer) -> dict[str, Tensor]:
    """Return the weights of `model` that are trained, by name; tied ones once.

    Of a network that processes divide, the own rows.
    """
    named = model.named_parameters()
    return {name: local_tensor(p.detach()) for name, p in named if p.requires_grad}


def copy_weights(model: Transformer) -> dict[str, Tensor]:
    """Return the trained weights of `model`, copied to the CPU."""
    return {name: weight.to("cpu", copy=True) for name, weight in trained_weights(model).items()}


def load_weights(model: Transformer, weights: dict[str, Tensor]) -> None:
    """Reverse `copy_weights`."""
    with torch.no_grad():
        for name, weight in trained_weights(model).items():
            weight.copy_(weights[name])
    reshard = getattr(model, "reshard", None)
    if reshard is not None:  # what FSDP2 has gathered of them is of before
        reshard()
