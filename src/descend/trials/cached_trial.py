"""One trial: its result from the cache, or trained in this process and cached."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from descend.data.cache_dir import cache_dir
from descend.runs.cached_record import read_cached, write_cached
from descend.trials.trial_spec import TrialResult, TrialSpec

if TYPE_CHECKING:
    from descend.trials.trial import EvalCallback, FractionCallback


def run_trial(
    spec: TrialSpec,
    on_evaluation: EvalCallback | None = None,
    on_fraction: FractionCallback | None = None,
) -> TrialResult:
    """Return the result of `spec`: from the cache, or trained in this process and kept there.

    `on_fraction` is reported how far it is, and `on_evaluation` may end it early (`trials.trial`);
    what came of it is then kept as what it is, the result of a trial that stops there.
    """
    from descend.trials.trial import ignore_progress, never_stop, train_trial

    result = load_cached_result(spec.key)
    if result is None:
        result = train_trial(spec, on_evaluation or never_stop, on_fraction or ignore_progress)
        cache_result(result)
    return result


def cache_result(result: TrialResult) -> None:
    """Put `result` into the cache."""
    write_cached(_file(result.key), result)


def load_cached_result(key: str) -> TrialResult | None:
    """Return the result kept under `key`; None if there is none, or none that can be read."""
    return read_cached(_file(key), TrialResult)


def _file(key: str) -> Path:
    return cache_dir() / "trials" / f"{key}.json"
