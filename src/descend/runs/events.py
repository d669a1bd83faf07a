"""What a run writes down while it trains: one record a line, in events.jsonl.

Losses are in nats per token, times in seconds. No number here can be not-a-number, for which JSON
has no word: a loss that is not finite ends the run.
"""

from __future__ import annotations

import datetime
from typing import Annotated, Literal

import msgspec

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Ordinal = Annotated[int, msgspec.Meta(ge=1, le=2**53)]
"""The number of a step or an epoch, from 1: what divides by it needs no check of its own."""
Real = Annotated[float, msgspec.Meta(ge=-3.5e38, le=3.5e38)]
"""A number of float32: sums and squares of such numbers stay finite."""
Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e12)]
"""Below 30,000 years: what is larger can be written in no unit."""

SCHEMA = 1
"""Raised when a field changes its meaning; readers refuse newer ones with a clear sentence."""


def current_time() -> str:
    """Return the time as records state it: ISO 8601, UTC, whole seconds."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


class TrainingStarted(msgspec.Struct, frozen=True, tag="training_started", tag_field="kind"):
    """Training begins, or begins again after an interruption, at `step`.

    `schema` is written always: a reader of another number would take its absence for its own.
    """

    step: Count
    time: str
    schema: Count = SCHEMA
    num_rollbacks: Count | None = None
    """Rollbacks before that step: two checkpoints of one step differ in it. None in older logs."""


class Step(msgspec.Struct, frozen=True, tag="step", tag_field="kind"):
    """One update: `loss` and `accuracy` on its own training batch, before the update."""

    step: Ordinal
    epoch: Ordinal
    loss: Real
    accuracy: Real
    learning_rate: Real
    gradient_norm: Real | None
    """None where float16 gradients overflowed and the update was left out."""
    clipped: bool
    seconds: Seconds


class WeightUpdateStats(msgspec.Struct, frozen=True, tag="weight_updates", tag_field="kind"):
    """Per weight matrix, every 25 steps: root mean squares of the weights, the gradient and the
    ratio of update to weight (both as norms)."""

    step: Count
    weight_rms: dict[str, Real]
    gradient_rms: dict[str, Real]
    update_to_weight_ratio: dict[str, Real]


class ActivationStats(msgspec.Struct, frozen=True, tag="activations", tag_field="kind"):
    """What flows through a program that descend watches, by the name of each layer, every 25 steps.

    `output_rms`: root mean square of what leaves the layer. `dead_unit_fraction`: of the units that
    come in, those that are silent at every position (0 to 1). `attention_entropy`: of layers that
    return their attention weights, over that of an even look (0 to 1).
    """

    step: Count
    output_rms: dict[str, Real]
    dead_unit_fraction: dict[str, Real]
    attention_entropy: dict[str, Real]


class Epoch(msgspec.Struct, frozen=True, tag="epoch", tag_field="kind"):
    """One pass over the text. `start` and `end` are training means over the first and the last
    twentieth of its steps; validation is unsmoothed and in evaluation mode."""

    epoch: Ordinal
    step: Ordinal
    loss_start: Real
    loss_end: Real
    accuracy_start: Real
    accuracy_end: Real
    validation_loss: Real
    validation_accuracy: Real
    bits_per_byte: Real
    tokens_per_second: Real
    seconds: Seconds


class CheckpointSaved(msgspec.Struct, frozen=True, tag="checkpoint_saved", tag_field="kind"):
    """A checkpoint reached the disk."""

    step: Count
    seconds: Seconds


class Sample(msgspec.Struct, frozen=True, tag="sample", tag_field="kind"):
    """Text that the model wrote after an epoch, or now and then in a long one."""

    step: Count
    prompt: str
    text: str


class Rollback(msgspec.Struct, frozen=True, tag="rollback", tag_field="kind"):
    """Training diverged and was rolled back to the state after `step`. The records of later steps
    no longer count, and one thing is changed from there."""

    step: Count
    failed_step: Count
    """The first step with a bad loss or gradient; it may be an earlier recorded one."""
    problem: str
    """What was found there, and where it began."""
    adjustment: Literal["skip", "clip", "rate"]
    value: Real
    """Batches left out; the new largest gradient norm; the factor on the configured rate."""


OVERFITTING_RISE = 0.02
"""Nats above the best epoch that count as a rise: three times the spread between seeds of a small
run (0.006, tiny Shakespeare)."""


class Overfitting(msgspec.Struct, frozen=True, tag="overfitting", tag_field="kind"):
    """The validation loss rises while the training loss falls. With `decay_steps`, training goes
    back to the weights of `best_epoch` and the rate falls to zero in so many steps, the last."""

    step: Ordinal
    epoch: Ordinal
    loss: Real
    """Validation loss of `epoch` (nats per token)."""
    best_epoch: Ordinal
    best_loss: Real
    decay_steps: Count
    """0: the number of epochs was set by the user, and the run goes on as planned."""


class EndStepChosen(msgspec.Struct, frozen=True, tag="end_step_chosen", tag_field="kind"):
    """A run with `minutes` will end with `end_step`, so that it ends in time: chosen after
    `step`, from what a step takes."""

    step: Count
    end_step: Ordinal
    step_seconds: Seconds


class WatchedStep(msgspec.Struct, frozen=True, tag="watched_step", tag_field="kind"):
    """One update of a program that descend watches, as far as the program shows it.

    `loss` is a mean in nats, None where it was not finite. `gradient_norm` is what the optimizer
    got, so after clipping. `seconds` since the step before.
    """

    step: Count
    loss: Real | None
    learning_rate: Real | None
    gradient_norm: Real | None
    seconds: Seconds


class Validation(msgspec.Struct, frozen=True, tag="validation", tag_field="kind"):
    """A validation loss (nats) of a program that descend watches, after `step` updates."""

    step: Count
    validation_loss: Real


class ProgramWarning(
    msgspec.Struct, frozen=True, tag="program_warning", tag_field="kind", omit_defaults=True
):
    """A mistake that a watched program shows, in one sentence, and what to do behind "Fix:"."""

    step: Count
    text: str
    bug: str = ""
    """Its name in the list of bugs, where it is one of them."""


StopReason = Literal["finished", "interrupted", "diverged", "failed", "paused"]


class TrainingStopped(
    msgspec.Struct, frozen=True, tag="training_stopped", tag_field="kind", omit_defaults=True
):
    """Training ended, or waits: a run that is `paused` goes on with a `TrainingStarted`."""

    step: Count
    reason: StopReason
    time: str
    problem: str = ""
    """Of a run that diverged: what was not as it should be, and where it began."""


Event = (
    TrainingStarted
    | Step
    | WeightUpdateStats
    | ActivationStats
    | Epoch
    | CheckpointSaved
    | Sample
    | Rollback
    | Overfitting
    | EndStepChosen
    | WatchedStep
    | Validation
    | ProgramWarning
    | TrainingStopped
)

_DECODER = msgspec.json.Decoder(Event)


def decode_event(line: bytes) -> Event | None:
    """Return the event in a line of a log; None where it is damaged, or none of these."""
    try:
        event: Event = _DECODER.decode(line)
    except (ValueError, RecursionError, OverflowError):  # also of bytes that are no UTF-8
        return None
    return event
