"""A series of arms carried out: equal ones once, finished ones from the cache, several at a time.

Each outcome is kept as soon as it is there, so a series that was stopped is taken up by asking
for it again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from descend.config import make_config
from descend.machine import cores, pick_device
from descend.runs.durable import write_file
from descend.text.cache import cache_dir
from descend.trials.arms import Arm, Outcome

if TYPE_CHECKING:
    from descend.trials.trial import Seen

Told = Callable[[int, int, Arm, Outcome], None]
"""Told how many arms are done, of how many, and the one that came last with its outcome."""


def silent(done: int, total: int, arm: Arm, outcome: Outcome) -> None:
    """Progress that nobody watches."""


def run_arms(
    arms: Sequence[Arm], *, workers: int | None = None, told: Told = silent
) -> list[Outcome]:
    """The outcomes of `arms`, in that order.

    `workers` processes with a thread each (left open: one a core, or one alone on a GPU).
    Raises the first error that an arm met; what was finished before stays in the cache.
    """
    keys = [arm.key for arm in arms]
    distinct = dict(zip(keys, arms, strict=True))
    outcomes: dict[str, Outcome] = {}

    def done(key: str, outcome: Outcome) -> None:
        outcomes[key] = outcome
        told(len(outcomes), len(distinct), distinct[key], outcome)

    for key in distinct:
        found = cached(key)
        if found is not None:
            done(key, found)
    missing = {key: arm for key, arm in distinct.items() if key not in outcomes}
    count = worker_count(list(missing.values()), workers)
    if count > 1:
        from descend.trials.workers import run_in_workers

        run_in_workers(missing, count, done)
    else:
        for key, arm in missing.items():
            done(key, run_arm(arm))
    return [outcomes[key] for key in keys]


def run_arm(arm: Arm, seen: Seen | None = None) -> Outcome:
    """The outcome of `arm`: from the cache, or trained in this process and kept there.

    `seen` may end it early (`trials.trial`); what came of it is then kept as what it is, the
    outcome of an arm that stops there.
    """
    from descend.trials.trial import let_go_on, train_arm

    outcome = cached(arm.key)
    if outcome is None:
        outcome = train_arm(arm, seen or let_go_on)
        write_file(_file(outcome.key), msgspec.json.encode(outcome))
    return outcome


def cached(key: str) -> Outcome | None:
    """The outcome kept under `key`; None if there is none, or none that can be read."""
    with suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode(_file(key).read_bytes(), type=Outcome)
    return None


def worker_count(arms: Sequence[Arm], asked: int | None = None) -> int:
    """Processes to train `arms` with: no more than there are arms; on a GPU one, unless asked."""
    if asked is None:
        asked = workers_on({make_config(arm.config).device for arm in arms})
    return max(1, min(asked, len(arms)))


def workers_on(devices: set[str]) -> int:
    """Processes that train side by side on `devices`, as configurations name them."""
    return cores() if {pick_device(device) for device in devices} <= {"cpu"} else 1


def _file(key: str) -> Path:
    return cache_dir() / "trials" / f"{key}.json"
