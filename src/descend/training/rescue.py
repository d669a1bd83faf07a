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

from descend.config import RunConfig
from descend.errors import DivergedError
from descend.runs.records import Rescue
from descend.training.divergence import WHAT_TO_DO, check_numbers
from descend.training.snapshot import put, take
from descend.training.state import Recent, Rescued, TrainState

KEPT_EVERY = 25
"""Steps between two states kept in memory: with it all of this takes under 0.5 % of the time, also
in small networks (benchmarks/results/speed/small_measurements.txt)."""
WINDOW = 100
"""Steps whose losses say what is usual."""
LARGE = 7.0
"""Standard deviations from the usual loss (OLMo 2)."""
DEVIATION = 1.4826
"""Standard deviation of normal numbers, in units of their median distance from the median."""
LEAST = 1.0
"""Nats above the usual loss under which nothing has run away, however quiet it was before."""
PATIENCE = 10
"""Steps in a row that the loss must stand above. Spikes that come back are shorter; first guess."""
SAME = 500
"""Steps within which a second trouble counts as the first one again: PaLM skipped 200 to 500
batches at a time."""
CLIP = 1.0
"""The usual value (Pascanu et al. 2013 and every recipe since)."""
HARDER = 0.1
"""What a limit that did not help is multiplied by."""
RATES = (1 / 3, 1 / 10, 1 / 100, 1 / 1000)
"""Of the configuration's rate, one after the other."""
SKIP, CLIPPED = 0, 1
"""Place in the order of changes; after them come rates."""
MOST = 8
"""Rescues of a run. Six are a whole order of changes; more than that is no accident any more."""


def look(state: TrainState, loss: float, epoch: int) -> None:
    """Note the `loss` met in the step under way, all of it finite; keep the state now and then.

    Raises `DivergedError` where the loss stood far above what was usual for too long, or where a
    state that was to be kept holds a number that is not finite.
    """
    recent = state.recent
    if _far_above(recent, loss, math.log(state.model.shape.vocab_size)):
        if recent.above + 1 >= PATIENCE:
            raise _exploded(recent, loss, state.step, epoch)
        recent.above += 1
        return
    step = state.step
    settled = step > state.rescued.last_step + KEPT_EVERY or not state.rescued.times
    if state.good is None or (step % KEPT_EVERY == 0 and settled):
        check_numbers(state, epoch)
        state.good = take(state)
    recent.above = 0
    recent.losses = [*recent.losses[1 - WINDOW :], loss]


def rescue(state: TrainState, config: RunConfig, noticed: int, trouble: DivergedError) -> Rescue:
    """Put `state`, which met `trouble` in step `noticed` (from 1), back to its last good one, with
    one thing changed.

    Raises `trouble` where rescues are off or used up, or before anything was good.
    """
    good, first_bad = state.good, noticed - state.recent.above
    if config.rescue == "off" or good is None or state.rescued.times >= MOST:
        raise trouble
    changed = _next_change(state.rescued, config, noticed, noticed - good.scalars.step)
    if changed is None:
        raise trouble
    change, value, state.rescued = changed
    for optimizer in state.optimizers:
        optimizer.zero_grad(set_to_none=True)
    if state.scaler.is_enabled():  # it may wait for the rest of the step that is given up
        state.scaler.update(state.scaler.get_scale())
    seconds = state.seconds
    put(good, state)
    state.seconds = seconds
    return Rescue(state.step, first_bad, trouble.found, change, value)


Change = tuple[Literal["skip", "clip", "rate"], float, Rescued]


def _next_change(before: Rescued, config: RunConfig, noticed: int, batches: int) -> Change | None:
    """What to do differently now, as a word and its number, and all that is different then."""
    again = before.times and noticed <= before.last_step + SAME
    tried = before.tried if again else 0
    after = msgspec.structs.replace(
        before, times=before.times + 1, tried=tried + 1, last_step=noticed
    )
    if tried == SKIP:
        skipped = before.batches_skipped + batches
        return "skip", batches, msgspec.structs.replace(after, batches_skipped=skipped)
    if tried == CLIPPED:
        now = clip_of(before, config)
        limit = min(CLIP, now * HARDER) if now else CLIP
        return "clip", limit, msgspec.structs.replace(after, gradient_clip=limit)
    factor = next((rate for rate in RATES if rate < before.rate_factor), None)
    if factor is None:
        return None
    return "rate", factor, msgspec.structs.replace(after, rate_factor=factor)


def clip_of(rescued: Rescued, config: RunConfig) -> float:
    """The largest gradient norm let through; 0: any."""
    return config.gradient_clip if rescued.gradient_clip is None else rescued.gradient_clip


def _far_above(recent: Recent, loss: float, guessing: float) -> bool:
    """Whether `loss` stands far above the recent ones; `guessing`: the loss of no knowledge."""
    losses = recent.losses
    return bool(losses) and loss > min(losses) + LEAST and loss > _limit(losses, guessing)


def _limit(losses: list[float], guessing: float) -> float:
    usual = statistics.median(losses)
    deviation = DEVIATION * statistics.median(abs(x - usual) for x in losses)
    return usual + max(LARGE * deviation, (guessing - usual) / 2, LEAST)


def _exploded(recent: Recent, loss: float, step: int, epoch: int) -> DivergedError:
    return DivergedError(
        f"step {step + 1 - recent.above} (epoch {epoch})",
        f"a loss that ran away, {loss:.4g} nats after {PATIENCE} steps",
        f"about {statistics.median(recent.losses):.4g}, as before",
        WHAT_TO_DO,
    )
