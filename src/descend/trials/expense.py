"""What a series of arms will cost here, before it is begun."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from descend.model.cost import forward_flops_per_token, training_flops_per_token
from descend.runs.durable import write_file
from descend.text.cache import cache_dir
from descend.trials.arms import Arm
from descend.trials.executor import cached, worker_count

_FORMAT = 1


class Speed(msgspec.Struct, frozen=True):
    """Seconds of a network on this machine, computed as trials compute it."""

    per_token: float
    """Forward and backward."""
    per_update: float


def estimate_seconds(arms: Sequence[Arm], workers: int | None = None) -> float:
    """Seconds that `arms` will take with `workers`, those in the cache for nothing.

    A step of each network is timed, once and for all; the text is prepared for it.
    """
    missing = {key: arm for arm in arms if cached(key := arm.key) is None}
    if not missing:
        return 0.0
    costs = [_arm_seconds(arm) for arm in missing.values()]
    count = worker_count(list(missing.values()), workers)
    return max(max(costs), sum(costs) / count)


def _arm_seconds(arm: Arm) -> float:
    from descend.trials.trial import prepare

    ready = prepare(arm)
    speed = measured_speed(arm)
    steps, seq_len = ready.last_step, ready.config.seq_len
    judged = min(arm.evaluation_tokens, len(ready.store.validation))
    judgments = 1 + (steps // arm.evaluate_every if arm.evaluate_every else 0)
    share = forward_flops_per_token(ready.shape, seq_len) / training_flops_per_token(
        ready.shape, seq_len
    )
    training = steps * (ready.batches.tokens_per_step * speed.per_token + speed.per_update)
    return training + judgments * judged * share * speed.per_token


def measured_speed(arm: Arm) -> Speed:
    """Time a step of the network of `arm`; remembered for its shape and batch."""
    import torch

    from descend.training.engine import time_step
    from descend.trials.trial import prepare

    ready = prepare(arm)
    config = ready.config
    keys = ("optimizer", "seq_len", "batch_size", "dropout_rate", "activation_checkpointing")
    values = [getattr(config, key) for key in keys]
    decided_by = (_FORMAT, ready.shape, ready.execution, values)
    key = hashlib.sha256(repr(decided_by).encode()).hexdigest()
    file = cache_dir() / "trials" / "speed" / f"{key}.json"
    found = _remembered(file)
    if found is None:
        before = torch.get_num_threads()
        timed = time_step(ready.execution, config, ready.shape, ready.batches, float("inf"))
        torch.set_num_threads(before)
        found = Speed(*timed)
        write_file(file, msgspec.json.encode(found))
    return found


def _remembered(file: Path) -> Speed | None:
    with suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode(file.read_bytes(), type=Speed)
    return None
