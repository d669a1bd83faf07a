"""A series of arms carried out: equal ones once, finished ones from the cache, several at a time.

They are made on this machine, or on the cluster that `RAY_ADDRESS` names. Each outcome is kept as
soon as it is there, so a series that was stopped is taken up by asking for it again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from descend.machine import available_cores, resolve_device
from descend.runs.durable import write_file_atomic
from descend.text.cache import cache_dir
from descend.trials.arms import TrialSpec, TrialResult
from descend.trials.on_ray import ray_address, run_on_ray, cluster_slots

if TYPE_CHECKING:
    from descend.trials.trial import FractionCallback, EvalCallback


class TrialProgress(msgspec.Struct, frozen=True):
    """What is heard of a series: that an arm is done, or every few seconds how far it is."""

    done: int
    """Arms by now."""
    total: int
    key: str
    """Of the arm that this is of."""
    fraction_done: float
    """Of its steps."""
    outcome: TrialResult | None
    """None while it is under way."""


TrialCallback = Callable[[TrialProgress], None]


def ignore_progress(news: TrialProgress) -> None:
    """Progress that nobody watches."""


def run_trials(
    arms: Sequence[TrialSpec], *, workers: int | None = None, told: TrialCallback = ignore_progress, here: bool = False
) -> list[TrialResult]:
    """The outcomes of `arms`, in that order.

    `workers` at a time with a thread each (left open: one a core, or one alone on a GPU; on a
    cluster as many as it takes). `here`: on this machine, also where a cluster is named.
    Raises the first error that an arm met; what was finished before stays in the cache.
    """
    keys = [arm.key for arm in arms]
    distinct = dict(zip(keys, arms, strict=True))
    outcomes: dict[str, TrialResult] = {}

    def done(key: str, outcome: TrialResult) -> None:
        outcomes[key] = outcome
        told(TrialProgress(len(outcomes), len(distinct), key, 1.0, outcome))

    def moved(key: str, share: float) -> None:
        told(TrialProgress(len(outcomes), len(distinct), key, share, None))

    for key in distinct:
        found = load_cached_result(key)
        if found is not None:
            done(key, found)
    missing = {key: arm for key, arm in distinct.items() if key not in outcomes}
    if missing and ray_address() and not here:

        def kept(key: str, outcome: TrialResult) -> None:
            cache_result(outcome)
            done(key, outcome)

        run_on_ray(missing, workers, kept, moved)
    elif (count := local_worker_count(list(missing.values()), workers)) > 1:
        from descend.trials.workers import run_in_worker_pool

        run_in_worker_pool(missing, count, done, moved)
    else:
        for key, arm in missing.items():
            done(key, run_trial(arm, moved=partial(moved, key)))
    return [outcomes[key] for key in keys]


def run_trial(arm: TrialSpec, seen: EvalCallback | None = None, moved: FractionCallback | None = None) -> TrialResult:
    """The outcome of `arm`: from the cache, or trained in this process and kept there.

    `moved` is told how far it is, and `seen` may end it early (`trials.trial`); what came of it is
    then kept as what it is, the outcome of an arm that stops there.
    """
    from descend.trials.trial import never_stop, train_trial, ignore_progress

    outcome = load_cached_result(arm.key)
    if outcome is None:
        outcome = train_trial(arm, seen or never_stop, moved or ignore_progress)
        cache_result(outcome)
    return outcome


def cache_result(outcome: TrialResult) -> None:
    """Put `outcome` into the cache."""
    write_file_atomic(_file(outcome.key), msgspec.json.encode(outcome))


def load_cached_result(key: str) -> TrialResult | None:
    """The outcome kept under `key`; None if there is none, or none that can be read."""
    with suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode(_file(key).read_bytes(), type=TrialResult)
    return None


def worker_count(arms: Sequence[TrialSpec], asked: int | None = None) -> int:
    """How many of `arms` `run_arms` trains at a time: as many as there is room for, unless asked;
    on a cluster by the room that it has in all."""
    if not ray_address() or not arms:
        return local_worker_count(arms, asked)
    room = cluster_slots(_devices(arms))
    return min(room, asked or room, len(arms))


def local_worker_count(arms: Sequence[TrialSpec], asked: int | None = None) -> int:
    """Processes to train `arms` with on this machine: no more than there are arms; on a GPU one,
    unless asked."""
    return max(1, min(workers_for_devices(_devices(arms)) if asked is None else asked, len(arms)))


def _devices(arms: Sequence[TrialSpec]) -> set[str]:
    return {arm.config["device"] for arm in arms}


def workers_for_devices(devices: set[str]) -> int:
    """Processes that train side by side on `devices`, as configurations name them."""
    return available_cores() if {resolve_device(device) for device in devices} <= {"cpu"} else 1


def _file(key: str) -> Path:
    return cache_dir() / "trials" / f"{key}.json"
