"""What a series of trials will cost here, before it is begun."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from descend.model.cost import forward_flops_per_token, training_flops_per_token
from descend.trials.cached_trial import load_cached_result
from descend.trials.timing.step_timing import StepTime, get_step_time
from descend.trials.trial_spec import TrialSpec

if TYPE_CHECKING:
    from descend.trials.prepared_trial import PreparedTrial


def estimate_trial_seconds(specs: Sequence[TrialSpec]) -> dict[str, float]:
    """Return seconds that each trial will take alone, by its key; those in the cache are left out.

    The text is prepared for it. A step of the lightest and of the heaviest network is timed, once
    and for all; what lies between costs in proportion to its floating-point operations.
    """
    from descend.trials.prepared_trial import prepare_trial

    missing = {key: spec for spec in specs if load_cached_result(key := spec.key) is None}
    if not missing:
        return {}
    ready = {key: prepare_trial(spec) for key, spec in missing.items()}
    weight = {key: _flops(one) for key, one in ready.items()}
    light, heavy = min(weight, key=weight.__getitem__), max(weight, key=weight.__getitem__)
    low, high = get_step_time(ready[light]), get_step_time(ready[heavy])
    span = (weight[heavy] - weight[light]) or 1.0
    costs = {}
    for key, one in ready.items():
        fraction = (weight[key] - weight[light]) / span
        per_token = low.per_token + fraction * (high.per_token - low.per_token)
        per_update = low.per_update + fraction * (high.per_update - low.per_update)
        costs[key] = _seconds(one, StepTime(per_token, per_update))
    return costs


def measure_step_time(spec: TrialSpec) -> StepTime:
    """Time a step of the network of `spec`; remembered for its shape and batch."""
    from descend.trials.prepared_trial import prepare_trial

    return get_step_time(prepare_trial(spec))


def _flops(ready: PreparedTrial) -> float:
    config = ready.config
    return training_flops_per_token(ready.shape, config.seq_len, config.activation_checkpointing)


def _seconds(ready: PreparedTrial, speed: StepTime) -> float:
    every = ready.spec.evaluate_every
    judgments = 1 + (ready.last_step // every if every else 0)
    training = training_seconds(ready, speed, ready.last_step)
    return training + judgments * evaluation_seconds(ready, speed)


def training_seconds(ready: PreparedTrial, speed: StepTime, steps: int) -> float:
    """Return what `steps` of it take."""
    return steps * (ready.batches.tokens_per_step * speed.per_token + speed.per_update)


def evaluation_seconds(ready: PreparedTrial, speed: StepTime) -> float:
    """Return what one judgment on validation text takes."""
    from descend.trials.trial_evaluation import BYTES_PER_TOKEN

    info = ready.store.info
    evaluation_bytes = min(ready.spec.evaluation_tokens * BYTES_PER_TOKEN, info.validation_bytes)
    evaluation_tokens = evaluation_bytes * info.validation_tokens / info.validation_bytes
    forward = forward_flops_per_token(ready.shape, ready.config.seq_len) / _flops(ready)
    return evaluation_tokens * forward * speed.per_token
