"""The search of an improvement: short trials of changes to the settings of a run."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from descend.config import make_config
from descend.diagnosis.recommended_config import NOT_INHERITED
from descend.diagnosis.run_context import RunContext
from descend.diagnosis.treatment_search import (
    MIN_STEPS,
    MIN_TRIALS,
    Move,
    OnTrial,
    TreatmentSearch,
)
from descend.planner.step_time import StepTimeModel

MIN_SEARCH_TRIALS = 3
"""Trials, the control with them, for which a search is worth beginning."""


def search_changes(
    context: RunContext, rates: StepTimeModel, find_moves: Callable[[], list[Move]], ends: float,
    on_trial: OnTrial,
) -> dict[str, Any]:  # fmt: skip
    """Return the changes to the run of `context` that gain in trials.

    No trial is begun after `ends` (by `time.perf_counter`), and `find_moves` is not called where
    too few trials would fit.
    """
    seconds = max(context.seconds_per_step, 1e-6) * context.execution.threads  # a trial has one
    left = (ends - time.perf_counter()) / seconds
    steps = min(context.total_steps, max(MIN_STEPS, int(left / MIN_TRIALS)))
    if left < MIN_SEARCH_TRIALS * steps:
        return {}
    moves = find_moves()
    metadata = context.metadata
    requested = {k: v for k, v in metadata.requested_config.items() if k not in NOT_INHERITED}
    config = make_config(requested | {"epoch": None, "max_steps": None, "minutes": None})
    vocab = int(metadata.resolved_config["vocab_size"])
    return TreatmentSearch(config, vocab, rates, steps, ends, on_trial).run(moves).changes
