"""A series of trials: equal ones once, finished ones from the cache, several at a time.

They are made on this machine, or on the cluster that `RAY_ADDRESS` names. Each result is kept as
soon as it is there, so a series that was stopped is taken up by asking for it again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from descend.machine import available_cores, resolve_device
from descend.trials.cached_trial import cache_result, load_cached_result, run_trial
from descend.trials.ray_executor import cluster_slots, ray_address, run_on_ray
from descend.trials.trial_spec import TrialResult, TrialSpec


class TrialProgress(msgspec.Struct, frozen=True):
    """Progress of a series: a trial is done, or every few seconds how far it is."""

    done: int
    """Trials done by now."""
    total: int
    key: str
    """Key of the trial that this is about."""
    fraction_done: float
    """Of its steps."""
    result: TrialResult | None
    """None while it is under way."""


TrialCallback = Callable[[TrialProgress], None]


def ignore_progress(progress: TrialProgress) -> None:
    """Progress that nobody watches."""


def run_trials(
    specs: Sequence[TrialSpec],
    *,
    workers: int | None = None,
    on_progress: TrialCallback = ignore_progress,
    here: bool = False,
) -> list[TrialResult]:
    """Return the results of `specs`, in that order.

    `workers` at a time with a thread each (left open: one a core, or one alone on a GPU; on a
    cluster as many as it takes). `here`: on this machine, also where a cluster is named.
    Raises the first error that a trial met; what was finished before stays in the cache.
    """
    keys = [spec.key for spec in specs]
    distinct = dict(zip(keys, specs, strict=True))
    results_by_key: dict[str, TrialResult] = {}

    def done(key: str, result: TrialResult) -> None:
        results_by_key[key] = result
        on_progress(TrialProgress(len(results_by_key), len(distinct), key, 1.0, result))

    def on_fraction(key: str, fraction: float) -> None:
        on_progress(TrialProgress(len(results_by_key), len(distinct), key, fraction, None))

    for key in distinct:
        cached = load_cached_result(key)
        if cached is not None:
            done(key, cached)
    missing = {key: spec for key, spec in distinct.items() if key not in results_by_key}
    if missing and ray_address() and not here:

        def store_result(key: str, result: TrialResult) -> None:
            cache_result(result)
            done(key, result)

        run_on_ray(missing, workers, store_result, on_fraction)
    elif (count := local_worker_count(list(missing.values()), workers)) > 1:
        from descend.trials.worker_pool import run_in_worker_pool

        run_in_worker_pool(missing, count, done, on_fraction)
    else:
        for key, spec in missing.items():
            done(key, run_trial(spec, on_fraction=partial(on_fraction, key)))
    return [results_by_key[key] for key in keys]


def worker_count(specs: Sequence[TrialSpec], requested: int | None = None) -> int:
    """Return how many of `specs` `run_trials` trains at a time: as many as there is room for,
    unless requested; on a cluster by the room that it has in all."""
    if not ray_address() or not specs:
        return local_worker_count(specs, requested)
    requested_count = min(requested, len(specs)) if requested else None
    room = cluster_slots(_devices(specs), requested_count)
    return min(room, requested_count or room, len(specs))


def local_worker_count(specs: Sequence[TrialSpec], requested: int | None = None) -> int:
    """Return processes to train `specs` with on this machine: no more than there are trials; on a
    GPU one, unless requested."""
    return max(
        1, min(workers_for_devices(_devices(specs)) if requested is None else requested, len(specs))
    )


def _devices(specs: Sequence[TrialSpec]) -> set[str]:
    return {spec.config["device"] for spec in specs}


def workers_for_devices(devices: set[str]) -> int:
    """Return processes that train side by side on `devices`, as configurations name them."""
    return available_cores() if {resolve_device(device) for device in devices} <= {"cpu"} else 1
