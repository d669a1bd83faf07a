"""When the numbers run away: back to the last good state, one thing changed, and on.

First the batches that led there are left out, next time gradients are clipped (harder), after that
the rate is lowered, further each time. Source of going back and leaving out: Chowdhery et al. 2022,
"PaLM: Scaling Language Modeling with Pathways", section 5.1, which restarted about 100 steps before
a spike and skipped the batches seen before and during it.

What counts as running away: a number that is not finite, or a loss far above what was usual for
several steps. How far is `LARGE` robust deviations, as in the spike score of OLMo 2 (2025, section
3), but never less than half of all that was learned since guessing: a spike comes back by itself.
"""

from __future__ import annotations

import math
import statistics
from typing import Literal

import msgspec

from descend.config import DEFAULT_GRADIENT_CLIP, RunConfig
from descend.errors import DivergedError
from descend.runs.events import Rollback
from descend.training.nonfinite import NONFINITE_FIX, check_numbers
from descend.training.state_snapshot import copy_snapshot, restore_snapshot
from descend.training.train_state import RecentLosses, RollbackState, TrainState

SNAPSHOT_EVERY_STEPS = 25
"""Steps between two states kept in memory: with it all of this takes under 0.5 % of the time, also
in small networks (benchmarks/results/speed/small_measurements.txt)."""
WINDOW = 100
"""Steps whose losses say what is usual."""
SPIKE_DEVIATIONS = 7.0
"""Standard deviations from the usual loss (OLMo 2)."""
MAD_TO_STD = 1.4826
"""Standard deviation of normal numbers, in units of their median distance from the median."""
MIN_SPIKE_NATS = 1.0
"""Nats above the usual loss under which nothing has run away, however quiet it was before."""
SPIKE_PATIENCE_STEPS = 10
"""Steps in a row that the loss must stand above. Spikes that come back are shorter; first guess."""
SAME_FAILURE_STEPS = 500
"""Steps within which a second trouble counts as the first one again: PaLM skipped 200 to 500
batches at a time."""
TIGHTER_CLIP_FACTOR = 0.1
"""What a limit that did not help is multiplied by."""
LR_FACTORS = (1 / 3, 1 / 10, 1 / 100, 1 / 1000)
"""Of the configuration's rate, one after the other."""
SKIP, CLIPPED = 0, 1
"""Place in the order of changes; after them come rates."""
MAX_ROLLBACKS = 8
"""Maximum number of rollbacks of a run. Six are a whole order of changes; more than that is no
accident any more."""


def check_for_loss_spike(state: TrainState, loss: float, epoch: int) -> None:
    """Note the `loss` met in the step under way, all of it finite; keep the state now and then.

    Raises `DivergedError` where the loss stood far above what was usual for too long, or where a
    state that was to be kept holds a number that is not finite.
    """
    recent = state.recent
    if _far_above(recent, loss, math.log(state.model.shape.vocab_size)):
        if recent.num_high + 1 >= SPIKE_PATIENCE_STEPS:
            raise _exploded(recent, loss, state.step, epoch)
        recent.num_high += 1
        return
    step = state.step
    settled = (
        step > state.rollback_state.last_step + SNAPSHOT_EVERY_STEPS
        or not state.rollback_state.num_rollbacks
    )
    if state.rollback_snapshot is None or (step % SNAPSHOT_EVERY_STEPS == 0 and settled):
        check_numbers(state, epoch)
        state.rollback_snapshot = copy_snapshot(state)
    recent.num_high = 0
    recent.losses = [*recent.losses[1 - WINDOW :], loss]


def roll_back(
    state: TrainState, config: RunConfig, noticed: int, trouble: DivergedError
) -> Rollback:
    """Put `state`, which met `trouble` in step `noticed` (from 1), back to its last good one, with
    one thing changed.

    Raises `trouble` where rollbacks are off or used up, or before anything was good.
    """
    snapshot, first_bad = state.rollback_snapshot, noticed - state.recent.num_high
    if (
        config.divergence_rollback == "off"
        or snapshot is None
        or state.rollback_state.num_rollbacks >= MAX_ROLLBACKS
    ):
        raise trouble
    changed = _next_change(state.rollback_state, config, noticed, noticed - snapshot.scalars.step)
    if changed is None:
        raise trouble
    change, value, state.rollback_state = changed
    for optimizer in state.optimizers:
        optimizer.zero_grad(set_to_none=True)
    if state.scaler.is_enabled():  # it may wait for the rest of the step that is given up
        state.scaler.update(state.scaler.get_scale())
    seconds = state.elapsed_seconds
    restore_snapshot(snapshot, state)
    state.elapsed_seconds = seconds
    return Rollback(state.step, first_bad, trouble.actual, change, value)


Change = tuple[Literal["skip", "clip", "rate"], float, RollbackState]


def _next_change(
    before: RollbackState, config: RunConfig, noticed: int, batches: int
) -> Change | None:
    """Return what to do differently now, as a word and its number, and all that is different
    then."""
    again = before.num_rollbacks and noticed <= before.last_step + SAME_FAILURE_STEPS
    tried = before.num_adjustments if again else 0
    after = msgspec.structs.replace(
        before, num_rollbacks=before.num_rollbacks + 1, num_adjustments=tried + 1, last_step=noticed
    )
    if tried == SKIP:
        skipped = before.batches_skipped + batches
        return "skip", batches, msgspec.structs.replace(after, batches_skipped=skipped)
    if tried == CLIPPED:
        now = effective_gradient_clip(before, config)
        limit = (
            min(DEFAULT_GRADIENT_CLIP, now * TIGHTER_CLIP_FACTOR) if now else DEFAULT_GRADIENT_CLIP
        )
        return "clip", limit, msgspec.structs.replace(after, gradient_clip=limit)
    factor = next((rate for rate in LR_FACTORS if rate < before.rate_factor), None)
    if factor is None:
        return None
    return "rate", factor, msgspec.structs.replace(after, rate_factor=factor)


def effective_gradient_clip(rollback_state: RollbackState, config: RunConfig) -> float:
    """Return the largest gradient norm let through; 0: any."""
    return (
        config.gradient_clip
        if rollback_state.gradient_clip is None
        else rollback_state.gradient_clip
    )


def _far_above(recent: RecentLosses, loss: float, guessing: float) -> bool:
    """Return whether `loss` stands far above the recent ones; `guessing`: the loss of no
    knowledge."""
    losses = recent.losses
    return bool(losses) and loss > min(losses) + MIN_SPIKE_NATS and loss > _limit(losses, guessing)


def _limit(losses: list[float], guessing: float) -> float:
    usual = statistics.median(losses)
    deviation = MAD_TO_STD * statistics.median(abs(x - usual) for x in losses)
    return usual + max(SPIKE_DEVIATIONS * deviation, (guessing - usual) / 2, MIN_SPIKE_NATS)


def _exploded(recent: RecentLosses, loss: float, step: int, epoch: int) -> DivergedError:
    return DivergedError(
        f"step {step + 1 - recent.num_high} (epoch {epoch})",
        f"a loss that exploded to {loss:.4g} within {SPIKE_PATIENCE_STEPS} steps",
        f"about {statistics.median(recent.losses):.4g}, as before",
        NONFINITE_FIX,
    )
