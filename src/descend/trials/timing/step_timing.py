"""How fast a network trains on this machine, as trials compute it: timed once, and remembered.

Two things make a timing wrong that was taken beside other programs: waiting for a core, and sharing
caches and memory with whoever has the others. Against the first, a network on one thread is timed
by the processor time of this process, in which waiting does not count. Against the second, a timing
from a busy machine is taken again as soon as the machine is quiet.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from descend.data.cache_dir import cache_dir
from descend.machine import RETUNE_AFTER_SECONDS, Execution, available_cores, count_active_cores
from descend.runs.cached_record import read_cached, write_cached

if TYPE_CHECKING:
    from descend.trials.prepared_trial import PreparedTrial

_FORMAT = 2

TIMING_TTL_SECONDS = 7 * 24 * 3600.0
"""Seconds after which a timing is taken again: a week, in which cooling, power settings or a driver
may have changed without a word."""

TIMING_TOLERANCE = 0.1
"""Timings that differ by less say the same: the older one stands, so that the same command makes
the same runs again. On a crowded machine processor times of one network lay from 6 % below to 18 %
above their median, where the clock of the wall said more than three times as much
(benchmarks/results/speed/timing_noise.txt)."""

CONTENTION_CORE_THRESHOLD = 0.5
"""Cores at work for others, beyond those that we leave them, from which a timing is doubted."""

TICKS = 12
"""Ticks of the clock that a timing must take: a tick is then 8 % of it. The processor time of
Windows goes on in ticks of a 64th of a second, in which a small network makes several steps."""


class StepTime(msgspec.Struct, frozen=True):
    """Seconds of a network on this machine, computed as trials compute it."""

    per_token: float
    """Forward and backward."""
    per_update: float


class _Timing(msgspec.Struct, frozen=True):
    """A speed as it was measured."""

    step_time: StepTime
    at: float
    """Seconds since 1970."""
    is_contended: bool
    """Other programs had the cores that it needs."""


def get_step_time(ready: PreparedTrial) -> StepTime:
    """Time a step of the network of `ready`, unless a timing is remembered that can be
    trusted."""
    file = _file(ready)
    cached = read_cached(file, _Timing)
    age = abs(time.time() - cached.at) if cached else TIMING_TTL_SECONDS
    trusted = cached is not None and age < (
        RETUNE_AFTER_SECONDS if cached.is_contended else TIMING_TTL_SECONDS
    )
    if cached is not None and (trusted or _has_contention(ready.execution)):
        return cached.step_time  # a doubtful one cannot be bettered while the machine is busy
    timing = _time(ready)
    if cached is not None and _timings_agree(cached.step_time, timing.step_time):
        timing = msgspec.structs.replace(timing, step_time=cached.step_time)
    write_cached(file, timing)
    return timing.step_time


def _file(ready: PreparedTrial) -> Path:
    keys = ("optimizer", "seq_len", "batch_size", "dropout_rate", "activation_checkpointing")
    values = [getattr(ready.config, key) for key in keys]
    decided_by = (_FORMAT, ready.shape, ready.execution, values)
    key = hashlib.sha256(repr(decided_by).encode()).hexdigest()
    return cache_dir() / "trials" / "speed" / f"{key}.json"


def _time(ready: PreparedTrial) -> _Timing:
    from descend.training.execution.candidate_timing import time_training_step
    from descend.training.process_settings import restore_process_state

    execution = ready.execution
    is_contended, clock = _has_contention(execution), choose_clock(execution)
    with restore_process_state():
        timed = time_training_step(
            execution, ready, float("inf"),
            clock=clock, min_seconds=TICKS * clock_resolution(clock),
        )  # fmt: skip
    return _Timing(StepTime(*timed), time.time(), is_contended or _has_contention(execution))


def choose_clock(execution: Execution) -> Callable[[], float]:
    """Return the clock by which training is timed: of one thread on a processor the time at work,
    in which waiting for a core does not count, and of all else that of the wall."""
    alone = execution.device == "cpu" and execution.threads == 1
    return time.process_time if alone else time.perf_counter


def clock_resolution(clock: Callable[[], float]) -> float:
    """Return seconds by which `clock` goes on at once."""
    began = clock()
    while (now := clock()) == began:
        pass
    return now - began


def _has_contention(execution: Execution) -> bool:
    """Return whether others have the cores that `execution` needs."""
    num_spare_cores = available_cores() - (execution.threads if execution.device == "cpu" else 1)
    return count_active_cores() > num_spare_cores + CONTENTION_CORE_THRESHOLD


def _timings_agree(one: StepTime, other: StepTime) -> bool:
    """Return whether they say the same of a step of `PROBE_TOKENS`, which is what was timed."""
    from descend.training.execution.candidate_timing import PROBE_TOKENS

    a, b = (s.per_token * PROBE_TOKENS + s.per_update for s in (one, other))
    return abs(a - b) <= TIMING_TOLERANCE * max(a, b)
