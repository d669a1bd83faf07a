"""What is measured in the time that is left once the models of an improvement are trained."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec

from descend.config import make_config
from descend.diagnosis.recommended_config import NOT_INHERITED
from descend.experiments.improvement import Improvement, TrainedModel
from descend.experiments.setting_effects import measure_setting_effects, reverted_groups
from descend.experiments.text_fractions import (
    MIN_TRIAL_STEPS,
    SCALE,
    measure_text_fractions,
    trial_steps,
)
from descend.planner.step_time import StepTimeModel
from descend.runs.run_files import read_info

EFFECTS_FRACTION = 0.1
"""Of the time of an improvement, kept for the trials that explain it, from `MIN_EFFECTS_MINUTES`
on. In less time only what the trainings leave is used."""

MIN_EFFECTS_MINUTES = 5.0
END_SECONDS = 1.0
"""Kept for writing the result."""

FRACTIONS_SHARE = 0.4
"""Of the time that is left, kept for the trials on fractions of the text."""


def reserved_seconds(minutes: float) -> float:
    """Return seconds of an improvement that its trainings leave for the trials here."""
    return 60 * minutes * EFFECTS_FRACTION if minutes >= MIN_EFFECTS_MINUTES else 0.0


def measure_effects(improvement: Improvement, rates: StepTimeModel, ends: float) -> Improvement:
    """Return `improvement` with what each group of settings brought, and loss against fractions of
    the text, as far as the time until `ends` (by `time.perf_counter`) goes."""
    best, first = improvement.best, next(iter(improvement.candidates), None)
    if best is None or first is None or best.origin in ("your run", "interrupted"):
        return improvement

    def seconds_left() -> float:
        return ends - END_SECONDS - time.perf_counter()

    info = read_info(Path(best.run))
    requested = {k: v for k, v in info.requested_config.items() if k not in NOT_INHERITED}
    config = make_config(requested | {"epoch": None, "max_steps": None, "minutes": None})
    vocab_size = int(info.resolved_config["vocab_size"])
    groups = reverted_groups(first.settings, best.settings) if first.origin == "your run" else []
    if groups:
        reserve = FRACTIONS_SHARE * seconds_left()
        effects = measure_setting_effects(
            config, vocab_size, groups, rates, lambda: seconds_left() - reserve
        )
        improvement = msgspec.structs.replace(improvement, setting_effects=effects)
    steps = trial_steps(int(info.resolved_config["max_steps"] or SCALE * MIN_TRIAL_STEPS))
    if seconds_left() > 2 * _trial_seconds(best, info.resolved_config, steps):
        points = measure_text_fractions(config, steps, seconds_left)
        improvement = msgspec.structs.replace(improvement, text_fractions=points)
    return improvement


def _trial_seconds(best: TrainedModel, resolved: dict[str, Any], steps: int) -> float:
    """Return seconds of a trial of so many steps, on one thread."""
    made = resolved["max_steps"] or steps
    return best.seconds / made * steps * (resolved.get("threads") or 1) + SETUP_SECONDS


SETUP_SECONDS = 1.0
"""Of a trial, before its first step."""
