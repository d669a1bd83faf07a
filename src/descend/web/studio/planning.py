"""What to train in a given time: the text and the machine are measured once, then only weighed."""

from __future__ import annotations

from typing import Any

import msgspec

from descend.planner.axes import axes_for
from descend.planner.corpus_profile import CorpusProfile
from descend.planner.generations import (
    choose_later_models,
    estimate_final_loss,
    plan_first_model,
)
from descend.planner.plan import TextTooShortError, TrainingPlan, choose_config
from descend.planner.scaling_law import load_scaling_law
from descend.planner.step_time import StepTimeModel
from descend.report.text.regular_text import describe_regular_text
from descend.web.studio.children import ChildError, Children
from descend.web.studio.settings import check_settings

MEASURED_MINUTES = 5.0
"""Minutes of the plan that is made to measure text and machine."""

SETUP_SECONDS = 25.0
"""From the start of a process to its first step, the text apart: torch is loaded, the machine is
timed, the network is made. Origin: 14 to 22 s on two busy cores."""

MIN_TRAINING_MINUTES = 0.25


async def plan(
    children: Children, corpus: str, minutes: float, settings: dict[str, Any]
) -> dict[str, Any]:
    """Return the plan for `corpus` in `minutes` with what `settings` fix, as plain data.

    `ConfigError` names a setting that is wrong, `UserError` says why nothing fits.
    """
    check_settings(settings)
    measured = await _measure(children, corpus, minutes)
    profile = msgspec.convert(measured["sample"], CorpusProfile, strict=False)
    step_times = msgspec.convert(measured["rates"], StepTimeModel)
    setup = (SETUP_SECONDS + profile.seconds_to_prepare) / 60
    training_minutes = max(minutes - setup, MIN_TRAINING_MINUTES)

    def plan_for(model_minutes: float) -> TrainingPlan:
        return choose_config(
            profile, step_times, load_scaling_law(), model_minutes, None, axes_for(settings)
        )

    try:
        chosen = plan_first_model(plan_for, training_minutes, settings)
    except TextTooShortError as problem:
        return {"too_short": True, "message": str(problem), "minutes": minutes}
    later = choose_later_models(chosen, settings)
    return {
        "too_short": False,
        "minutes": minutes,
        "setup_seconds": 60 * setup,
        "config": chosen.config,
        "predicted": msgspec.to_builtins(chosen.predicted),
        "num_models": 1 + len(later),
        "final_bits_per_byte": estimate_final_loss(chosen, later),
        "unigram_bits_per_byte": profile.unigram,
        "bigram_bits_per_byte": profile.bigram,
        "train_bytes": profile.train_bytes,
        "warning": describe_regular_text(profile, chosen.predicted.bits_per_byte),
    }


async def _measure(children: Children, corpus: str, minutes: float) -> dict[str, Any]:
    """Return what `descend plan` measures of text and machine.

    On a slow machine the usual time can be too short for it: then in the time of the user.
    """
    try:
        return await children.ask("plan", corpus, "--minutes", f"{MEASURED_MINUTES:g}")
    except ChildError:
        if minutes <= MEASURED_MINUTES:
            raise
        return await children.ask("plan", corpus, "--minutes", f"{minutes:g}")
