"""The training loop: a generator of records. Whoever wants to look, iterates.

Nothing is handed in that watches; nothing here writes, prints or knows a folder.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from descend.errors import DivergedError
from descend.metrics.weight_updates import RECORD_EVERY_STEPS, WeightUpdateRecorder
from descend.runs.events import EndStepChosen, Epoch, Rollback, Step, WeightUpdateStats
from descend.training.explosion import describe_explosion, has_exploded, note_explosion
from descend.training.nonfinite import check_numbers, find_first_nonfinite, nonfinite_loss_error
from descend.training.optimizers import clip_grad_norm, set_learning_rate
from descend.training.precision import autocast_precision
from descend.training.rollback import check_for_loss_spike, effective_gradient_clip, roll_back
from descend.training.train_plan import Evaluate, TrainPlan
from descend.training.train_state import (
    BestWeights,
    EpochAccumulator,
    TrainState,
    copy_weights,
    last_step,
)

MAX_SKIPPED_STEPS = 50
"""float16 steps in a row that may overflow while the loss scale is searched; each halves it."""

MIN_DROPOUT_RATE = 0.4
"""Fraction of the peak learning rate under which BPE-dropout is off, so that the model ends on the
tokens that it is judged by: with `wsd` the last fifth of the steps. Above, it falls with the
learning rate (docs/recipe.md)."""

MIN_DROPOUT_RATE_EPOCHS = 2.4
"""That fraction times the epochs of a run, at most. A text that is read without dropout more than
about once (with `wsd` half of this) is memorized."""

StepEvents = tuple[Step | WeightUpdateStats | EndStepChosen | Epoch | Rollback, ...]


def train(state: TrainState, plan: TrainPlan) -> Iterator[StepEvents]:
    """Train from `state` to the end of `plan`: all records of a step at once.

    `state` is whole whenever they come out, and can be saved: nothing of the step is still to do.
    After a `Rollback` it is an earlier one.

    Raises `DivergedError` before an update that would put a number that is not finite into
    the weights, and where no rollback is left.
    """
    watch = state.shards.make_recorder() if state.shards else WeightUpdateRecorder()
    limit = plan.time_limit
    if limit:
        limit.start()
    while state.step < last_step(state, plan.total_steps) and not (limit and limit.is_over):
        number = state.step + 1
        try:
            records = train_step(state, plan, watch)
        except DivergedError as trouble:
            records = (roll_back(state, plan.config, number, trouble),)
        yield records


def seed_generators(seed: int) -> None:
    """Seed the generators that a step draws from: of the processor, and of the device in use.

    `torch.manual_seed` sets the same, but notes the call stack for each kind of device that is not
    in use.
    """
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(seed)
    if torch.backends.mps.is_available():
        torch.mps.manual_seed(seed)


def train_step(state: TrainState, plan: TrainPlan, watch: WeightUpdateRecorder) -> StepEvents:
    """Make one update, and what is due after it; `DivergedError` as for `train`."""
    began = plan.group.clock()
    step, epoch = state.step, plan.batches.epoch_at_step(state.step)
    limit, end = plan.time_limit, last_step(state, plan.total_steps)
    scheduled = limit.schedule_step(step, plan.total_steps) if limit else step
    planned = state.decay.rate_at(step) if state.decay else plan.learning_rate(scheduled)
    rate = planned * state.rollback_state.rate_factor
    set_learning_rate(state.optimizers, rate)
    # Dropout at step n follows from the seed and n alone, so nothing must be saved for it.
    seed_generators((plan.config.seed * 1_000_003 + step + plan.group.rank * 2**40) % 2**63)
    num_epochs = plan.batches.epochs_at_step(limit.end_step(end) if limit else end)
    dropout_scale = scale_bpe_dropout(planned / plan.config.peak_learning_rate, num_epochs)
    loss, accuracy = accumulate_gradients(state, plan, step, dropout_scale)
    norm = gradient_norm(state, plan)
    finite = math.isfinite(loss) and math.isfinite(norm)
    if not finite and not is_fp16_overflow(state, loss):
        batch = get_batch(state, plan, step, dropout_scale)
        raise nonfinite_loss_error(state.model, batch, step, epoch, loss)
    if finite and plan.config.divergence_rollback == "on":
        check_for_loss_spike(state, loss, epoch)
    note_explosion(state, loss, plan.diverged_above)
    watching = step % RECORD_EVERY_STEPS == 0 and finite
    if watching:
        watch.before(state.model)
    optimizer_step(state, finite)
    state.step += 1
    state.skipped = 0 if finite else state.skipped + 1
    seconds = plan.group.clock() - began
    state.elapsed_seconds += seconds
    epoch_ends = min(plan.batches.steps(epoch), end)
    epoch_steps = epoch_ends - plan.batches.steps(epoch - 1)
    state.tally.add(epoch_steps, loss, accuracy, seconds)
    last, end_step = False, None
    if limit:
        limit.add_step(seconds, loss, accuracy)
        end_step = None if state.decay else limit.choose_end(state.step, plan.total_steps)
        last = limit.is_last(state, ends_epoch=state.step == epoch_ends)
        if last and state.step < epoch_ends:
            limit.close_tally(state.tally, epoch_steps)
    clip = effective_gradient_clip(state.rollback_state, plan.config)
    records: list[Step | WeightUpdateStats | EndStepChosen | Epoch] = [Step(
        state.step, epoch, loss, accuracy, rate, norm if finite else None,
        clipped=finite and bool(clip) and norm > clip, seconds=seconds,
    )]  # fmt: skip
    if watching:
        records.append(watch.after(state.model, state.step))
    if end_step:
        records.append(end_step)
    if plan.evaluate and (last or state.step == epoch_ends):
        # A batch larger than the text finishes several passes at once: the last one counts.
        # The last pass may be a part of one.
        done = min(max(plan.batches.completed_epochs(state.step), epoch), plan.epochs)
        records.append(finish_epoch(state, plan, plan.evaluate, done))
    if limit:
        limit.is_over = last
        state.clock = limit.state()
    return tuple(records)


def scale_bpe_dropout(rate_fraction: float, num_epochs: float) -> float:
    """Return BPE-dropout at `rate_fraction` of the peak learning rate, over that at the peak, in a
    run of `num_epochs`."""
    lowest = min(MIN_DROPOUT_RATE, MIN_DROPOUT_RATE_EPOCHS / num_epochs)
    return min(max((rate_fraction - lowest) / (1 - lowest), 0.0), 1.0)


def get_batch(
    state: TrainState, plan: TrainPlan, step: int, dropout_scale: float = 1.0
) -> NDArray[np.int64]:
    """Return token ids of `step` (from 0): its own batch, or a later one where some were left
    out."""
    return plan.batches.batch(step + state.rollback_state.batches_skipped, dropout_scale)


def accumulate_gradients(
    state: TrainState, plan: TrainPlan, step: int, dropout_scale: float = 1.0
) -> tuple[float, float]:
    """Add the gradients of the batch of `step`; returns its mean loss (nats) and accuracy.

    Of several processes each computes its own rows; both results and gradients are of all rows.
    """
    rows = plan.group.select_rows(get_batch(state, plan, step, dropout_scale))
    batch = torch.from_numpy(rows).to(plan.execution.device)
    parts = batch.tensor_split(plan.config.num_micro_batches)
    loss_sum = torch.zeros((), device=batch.device)
    hits = torch.zeros((), device=batch.device, dtype=torch.long)
    for number, part in enumerate(parts, 1):
        inputs, targets = part[:, :-1], part[:, 1:]
        fraction = len(part) / len(batch)
        with plan.sync_gradients(state.model, is_last=number == len(parts)):
            with autocast_precision(plan.execution):
                loss, right = plan.loss_fn(
                    state.model, inputs, targets, plan.config.label_smoothing
                )
            state.scaler.scale(loss * fraction).backward()  # type: ignore[no-untyped-call]
        loss_sum += loss.detach() * fraction
        hits += right
    if state.shards:
        state.shards.collect_gradients()
    loss_mean, hits_mean = plan.group.mean_loss(loss_sum, hits)
    return loss_mean, hits_mean / batch[:, 1:].numel()


def gradient_norm(state: TrainState, plan: TrainPlan) -> float:
    """Norm of all gradients together, before they are clipped to `gradient_clip`."""
    for optimizer in state.optimizers:
        state.scaler.unscale_(optimizer)
    limit = effective_gradient_clip(state.rollback_state, plan.config)
    if state.shards:
        return state.shards.clip_gradients(limit)
    return clip_grad_norm(state.model, limit).item()


def is_fp16_overflow(state: TrainState, loss: float) -> bool:
    """Return whether an overflow is float16's own: the loss is fine and the scale still falls."""
    return state.scaler.is_enabled() and math.isfinite(loss) and state.skipped < MAX_SKIPPED_STEPS


def optimizer_step(state: TrainState, finite: bool) -> None:
    """Move the weights, if the gradients are `finite`, and forget the gradients.

    The scaler alone would hold back only the optimizer whose own gradients overflowed, while
    clipping has spread what is not a number to all of them.
    """
    for optimizer in state.optimizers:
        if finite:
            state.scaler.step(optimizer)
        optimizer.zero_grad(set_to_none=True)
    state.scaler.update()


def finish_epoch(state: TrainState, plan: TrainPlan, evaluate: Evaluate, epoch: int) -> Epoch:
    """Judge the model on validation text, remember it if it is the best, begin a new tally."""
    began = plan.group.clock()
    result = evaluate(state.model, plan.group)
    spent = plan.group.clock() - began
    state.elapsed_seconds += spent
    if plan.time_limit:
        plan.time_limit.times.add_evaluation(spent)
    if not math.isfinite(result.loss):
        raise DivergedError(
            f"epoch {epoch}",
            f"a validation loss of {result.loss}, beginning in "
            + find_first_nonfinite(state.model, get_batch(state, plan, state.step - 1)),
            "a finite number",
            "lower learning_rate and train again",
        )  # fmt: skip
    check_numbers(state, epoch)  # of weights that the validation text does not touch, too
    if has_exploded(state, plan, result.loss):
        raise describe_explosion(state, result.loss, epoch)
    if state.best is None or result.loss < state.best.validation_loss:
        state.best = BestWeights(epoch, result.loss, copy_weights(state.model))
    tally, state.tally = state.tally, EpochAccumulator()
    tokens = tally.steps * plan.batches.tokens_per_step
    return Epoch(
        epoch=epoch,
        step=state.step,
        loss_start=tally.loss_start,
        loss_end=tally.loss_end,
        accuracy_start=tally.accuracy_start,
        accuracy_end=tally.accuracy_end,
        validation_loss=result.loss,
        validation_accuracy=result.accuracy,
        bits_per_byte=result.bits_per_byte,
        tokens_per_second=tokens / max(tally.seconds, 1e-9),
        seconds=tally.seconds,
    )
