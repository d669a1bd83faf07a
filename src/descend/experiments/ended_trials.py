"""Trials of an experiment as they end, for whoever watches: a line each, and the effects so far."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np

from descend.experiments.estimate import Estimate, estimate_mean, to_loss_reduction

if TYPE_CHECKING:
    from descend.experiments.attribute.attribution_trials import AttributionDesign
    from descend.experiments.compare.comparison_trials import ComparisonPlan
    from descend.experiments.search.search_loop import TrialEnded
    from descend.trials.executor import TrialProgress
    from descend.trials.trial_spec import TrialResult

BASE = "no change"
"""Name of the trial of an attribution that changes nothing."""


class EndedTrial(msgspec.Struct, frozen=True, kw_only=True):
    """A trial of an experiment that has ended."""

    name: str
    """Its arm, the changes that it makes, or the values that it tries."""
    seed: int | None = None
    """None in a search, where all have the same."""
    is_control: bool = False
    """Whether the other arms are held against its arm."""
    done: int
    """Trials that have ended by now, this one too."""
    total: int | None = None
    """None in a search: time decides."""
    state: Literal["finished", "stopped", "diverged", "failed"] = "finished"
    """`stopped`: unpromising beside the others."""
    validation_loss: float | None = None
    bits_per_byte: float | None = None
    accuracy: float | None = None
    bigram_accuracy: float | None = None
    vocab_size: int | None = None
    seconds: float | None = None


class ArmSoFar(msgspec.Struct, frozen=True, kw_only=True):
    """What the trials of one arm show so far."""

    name: str
    num_trials: int
    bits_per_byte: float
    validation_loss: float
    accuracy: float
    loss_reduction: Estimate | None
    """Against the first arm, paired by seed; None for the first, and before a seed has both."""


OnEndedTrial = Callable[[EndedTrial], None]


class PlannedTrial(msgspec.Struct, frozen=True):
    """What a trial of a plan is called."""

    name: str
    seed: int
    is_control: bool


def name_comparison_trials(plan: ComparisonPlan) -> dict[str, list[PlannedTrial]]:
    """Return the arms and seeds of each trial of `plan`, by its key: equal trials run once."""
    names: dict[str, list[PlannedTrial]] = {}
    for number, arm in enumerate(plan.comparison_arms):
        for seed, spec in zip(plan.seeds, plan.specs[number], strict=True):
            names.setdefault(spec.key, []).append(PlannedTrial(arm.name, seed, number == 0))
    return names


def name_attribution_trials(plan: AttributionDesign) -> dict[str, list[PlannedTrial]]:
    """Return the changes and seeds of each trial of `plan`, by its key."""
    names: dict[str, list[PlannedTrial]] = {}
    for (seed, members), spec in zip(plan.required_runs(), plan.specs(), strict=True):
        changes = ", ".join(plan.changes[number].name for number in sorted(members)) or BASE
        names.setdefault(spec.key, []).append(PlannedTrial(changes, seed, not members))
    return names


def report_trials(
    names: Mapping[str, Sequence[PlannedTrial]], on_trial: OnEndedTrial
) -> Callable[[TrialProgress], None]:
    """Return a callback of a series of trials that hands each that ended to `on_trial`."""
    total = sum(len(trials) for trials in names.values())
    done = 0

    def on_progress(progress: TrialProgress) -> None:
        nonlocal done
        if progress.result is None:
            return
        for trial in names.get(progress.key, ()):
            done += 1
            on_trial(_ended(trial, progress.result, done, total))

    return on_progress


def _ended(trial: PlannedTrial, result: TrialResult, done: int, total: int) -> EndedTrial:
    return EndedTrial(
        name=trial.name, seed=trial.seed, is_control=trial.is_control, done=done, total=total,
        state="finished" if result.diverged_step is None else "diverged",
        validation_loss=result.validation_loss, bits_per_byte=result.bits_per_byte,
        accuracy=result.accuracy, bigram_accuracy=result.bigram_accuracy,
        vocab_size=result.vocab_size, seconds=result.seconds,
    )  # fmt: skip


def ended_search_trial(ended: TrialEnded) -> EndedTrial:
    """Return a trial of a search as one that ended."""
    state: Literal["finished", "stopped", "failed"] = "stopped" if ended.stopped else "finished"
    return EndedTrial(
        name=" ".join(f"{key}={value}" for key, value in ended.values.items()), done=ended.done,
        state="failed" if ended.failure_reason is not None else state,
        bits_per_byte=ended.bits_per_byte,
    )  # fmt: skip


def compare_ended_trials(trials: Sequence[EndedTrial]) -> tuple[str, list[ArmSoFar]]:
    """Return the unit of the differences, and what the arms show so far, the control first.

    Once all trials have ended, these are the numbers of the comparison.
    """
    arms: dict[str, dict[int | None, EndedTrial]] = {}
    for trial in sorted(trials, key=lambda trial: not trial.is_control):
        if trial.validation_loss is not None:
            arms.setdefault(trial.name, {})[trial.seed] = trial
    control = next((arm for arm in arms.values() if _has_control(arm)), {})
    in_bits = len({trial.vocab_size for arm in arms.values() for trial in arm.values()}) > 1
    rows = [
        _arm_so_far(name, arm, {} if arm is control else control, in_bits)
        for name, arm in arms.items()
    ]
    return "bits per byte" if in_bits else "nats per token", rows


def _has_control(arm: Mapping[int | None, EndedTrial]) -> bool:
    return any(trial.is_control for trial in arm.values())


def _arm_so_far(
    name: str, arm: Mapping[int | None, EndedTrial], control: Mapping[int | None, EndedTrial],
    in_bits: bool,
) -> ArmSoFar:  # fmt: skip
    def loss(trial: EndedTrial) -> float:
        value = trial.bits_per_byte if in_bits else trial.validation_loss
        return float("nan") if value is None else value

    def mean(key: str) -> float:
        return float(np.mean([getattr(trial, key) for trial in arm.values()]))

    differences = [loss(arm[seed]) - loss(control[seed]) for seed in arm if seed in control]
    return ArmSoFar(
        name=name, num_trials=len(arm), bits_per_byte=mean("bits_per_byte"),
        validation_loss=mean("validation_loss"), accuracy=mean("accuracy"),
        loss_reduction=to_loss_reduction(estimate_mean(differences)) if differences else None,
    )  # fmt: skip
