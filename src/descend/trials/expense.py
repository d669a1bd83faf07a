"""What a series of arms will cost here, before it is begun."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from descend.model.cost import forward_flops_per_token, training_flops_per_token
from descend.trials.arms import Arm
from descend.trials.executor import cached
from descend.trials.speed import Speed, speed_of

if TYPE_CHECKING:
    from descend.trials.trial import Ready


def estimate_each(arms: Sequence[Arm]) -> dict[str, float]:
    """Seconds that each arm will take alone, by its key; those in the cache are left out.

    The text is prepared for it. A step of the lightest and of the heaviest network is timed, once
    and for all; what lies between costs in proportion to its floating-point operations.
    """
    from descend.trials.trial import prepare

    missing = {key: arm for arm in arms if cached(key := arm.key) is None}
    if not missing:
        return {}
    ready = {key: prepare(arm) for key, arm in missing.items()}
    weight = {key: _flops(one) for key, one in ready.items()}
    light, heavy = min(weight, key=weight.__getitem__), max(weight, key=weight.__getitem__)
    low, high = speed_of(ready[light]), speed_of(ready[heavy])
    span = (weight[heavy] - weight[light]) or 1.0
    costs = {}
    for key, one in ready.items():
        share = (weight[key] - weight[light]) / span
        per_token = low.per_token + share * (high.per_token - low.per_token)
        per_update = low.per_update + share * (high.per_update - low.per_update)
        costs[key] = _seconds(one, Speed(per_token, per_update))
    return costs


def measured_speed(arm: Arm) -> Speed:
    """Time a step of the network of `arm`; remembered for its shape and batch."""
    from descend.trials.trial import prepare

    return speed_of(prepare(arm))


def _flops(ready: Ready) -> float:
    config = ready.config
    return training_flops_per_token(ready.shape, config.seq_len, config.activation_checkpointing)


def _seconds(ready: Ready, speed: Speed) -> float:
    every = ready.arm.evaluate_every
    judgments = 1 + (ready.last_step // every if every else 0)
    training = training_seconds(ready, speed, ready.last_step)
    return training + judgments * judging_seconds(ready, speed)


def training_seconds(ready: Ready, speed: Speed, steps: int) -> float:
    """What `steps` of it take."""
    return steps * (ready.batches.tokens_per_step * speed.per_token + speed.per_update)


def judging_seconds(ready: Ready, speed: Speed) -> float:
    """What one judgment on held-out text takes."""
    from descend.trials.judge import BYTES_PER_TOKEN

    info = ready.store.info
    judged_bytes = min(ready.arm.evaluation_tokens * BYTES_PER_TOKEN, info.validation_bytes)
    judged = judged_bytes * info.validation_tokens / info.validation_bytes
    forward = forward_flops_per_token(ready.shape, ready.config.seq_len) / _flops(ready)
    return judged * forward * speed.per_token
