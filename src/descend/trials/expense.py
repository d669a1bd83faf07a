"""What a series of arms will cost here, before it is begun."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from descend.model.cost import forward_flops_per_token, training_flops_per_token
from descend.runs.durable import write_file
from descend.text.cache import cache_dir
from descend.trials.arms import Arm
from descend.trials.executor import cached, worker_count

if TYPE_CHECKING:
    from descend.trials.trial import Ready

_FORMAT = 1


class Speed(msgspec.Struct, frozen=True):
    """Seconds of a network on this machine, computed as trials compute it."""

    per_token: float
    """Forward and backward."""
    per_update: float


def estimate_seconds(arms: Sequence[Arm], workers: int | None = None) -> float:
    """Seconds that `arms` will take with `workers`, those in the cache for nothing."""
    costs = list(estimate_each(arms).values())
    missing = [arm for arm in arms if cached(arm.key) is None]
    return max(max(costs), sum(costs) / worker_count(missing, workers)) if costs else 0.0


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
    low, high = _speed(ready[light]), _speed(ready[heavy])
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

    return _speed(prepare(arm))


def _flops(ready: Ready) -> float:
    return training_flops_per_token(ready.shape, ready.config.seq_len)


def _seconds(ready: Ready, speed: Speed) -> float:
    arm, steps = ready.arm, ready.last_step
    judged = min(arm.evaluation_tokens, len(ready.store.validation))
    judgments = 1 + (steps // arm.evaluate_every if arm.evaluate_every else 0)
    forward = forward_flops_per_token(ready.shape, ready.config.seq_len) / _flops(ready)
    training = steps * (ready.batches.tokens_per_step * speed.per_token + speed.per_update)
    return training + judgments * judged * forward * speed.per_token


def _speed(ready: Ready) -> Speed:
    import torch

    from descend.training.engine import time_step

    keys = ("optimizer", "seq_len", "batch_size", "dropout_rate", "activation_checkpointing")
    values = [getattr(ready.config, key) for key in keys]
    decided_by = (_FORMAT, ready.shape, ready.execution, values)
    key = hashlib.sha256(repr(decided_by).encode()).hexdigest()
    file = cache_dir() / "trials" / "speed" / f"{key}.json"
    found = _remembered(file)
    if found is None:
        before = torch.get_num_threads()
        timed = time_step(ready.execution, ready.config, ready.shape, ready.batches, float("inf"))
        torch.set_num_threads(before)
        found = Speed(*timed)
        write_file(file, msgspec.json.encode(found))
    return found


def _remembered(file: Path) -> Speed | None:
    with suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode(file.read_bytes(), type=Speed)
    return None
