"""What each group of settings is worth: the best configuration with one group as it was before.

A trial has the seed, the data and the time of its control, which is the best configuration itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from descend.config import RunConfig
from descend.config_sources import with_changes
from descend.errors import DescendError
from descend.experiments.improvement import Contribution
from descend.experiments.text_fractions import LOOKS, run_timed_trial
from descend.model.shape import shape_from_run_config
from descend.planner.step_time import StepTimeModel, StepWorkload
from descend.trials.paired_stats import paired_interval
from descend.trials.trial_spec import TrialResult, make_trial_spec

GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("the optimizer and its learning rate", ("optimizer", "learning_rate")),
    ("the architecture of the network", ("architecture",)),
    ("the batch size and the context", ("batch_size", "seq_len", "max_seq_len")),
    ("the size of the network", ("embed_dim", "num_heads", "num_layers", "ff_dim")),
    ("the schedule of the learning rate", ("schedule",)),
    ("the vocabulary", ("vocab_size", "tokenizer")),
    ("the regularization",
     ("weight_decay", "dropout_rate", "token_dropout", "bpe_dropout", "label_smoothing",
      "gradient_clip")),
)  # fmt: skip
"""Settings that belong together, those that usually matter most first (docs/recipe.md)."""

MIN_EFFECT_STEPS = 40
"""Steps of the control, below which a trial says nothing."""

MIN_EFFECT_TRIALS = 4
"""Trials, the control with them, that there must be time for."""


class RevertedGroup(msgspec.Struct, frozen=True):
    """A group of settings that differ from those before."""

    name: str
    before: dict[str, Any]
    after: dict[str, Any]


def reverted_groups(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[RevertedGroup]:
    """Return the groups in which the settings `after` differ from those `before`."""
    groups = []
    for name, keys in GROUPS:
        differing = [k for k in keys if k in before and k in after and before[k] != after[k]]
        if differing:
            groups.append(RevertedGroup(
                name, {k: before[k] for k in differing}, {k: after[k] for k in differing}
            ))  # fmt: skip
    return groups


def measure_setting_effects(
    config: RunConfig, vocab_size: int, groups: list[RevertedGroup], rates: StepTimeModel,
    seconds_left: Callable[[], float],
) -> list[Contribution]:  # fmt: skip
    """Return what each of `groups` is worth in `config`, as far as `seconds_left` goes.

    Every trial takes as long as the control by the `rates` of this machine.
    """

    def cost(each: RunConfig) -> float:
        shape = shape_from_run_config(each, each.vocab_size or vocab_size)
        work = StepWorkload(shape, each.batch_size, each.seq_len, each.optimizer == "muon")
        return rates.seconds(work)

    trials = len(groups) + 1
    seconds = seconds_left() / trials
    while seconds < MIN_EFFECT_STEPS * cost(config) and trials > MIN_EFFECT_TRIALS:
        trials -= 1
        seconds = seconds_left() / trials
    if not groups or seconds < MIN_EFFECT_STEPS * cost(config):
        return []

    def train(each: RunConfig) -> TrialResult | None:
        steps = max(1, int(seconds / cost(each)))
        spec = make_trial_spec(each, steps=steps, evaluate_every=-(-steps // LOOKS))
        return run_timed_trial(spec, seconds_left)

    before = seconds_left()
    control = train(config)
    if control is None:
        return []
    took = before - seconds_left()
    effects = []
    for group in groups[: trials - 1]:
        if seconds_left() < took:
            break
        try:
            result = train(with_changes(config, group.before))
        except DescendError:
            continue  # the old value does not go with the new ones
        if result is None:
            continue  # it diverged, or its time is up
        effects.append(Contribution(
            reason=group.name, changes=group.after,
            gain=result.bits_per_byte - control.bits_per_byte,
            ci95=_interval_of(control, result), measured_by="short trial without it",
            seconds=round(control.seconds, 1),
        ))  # fmt: skip
    return sorted(effects, key=lambda e: -e.gain)


def _interval_of(control: TrialResult, reverted: TrialResult) -> tuple[float, float] | None:
    """Return 95 % over pieces of the validation set; None where the vocabulary differs."""
    pieces = control.chunk_losses, reverted.chunk_losses
    same = control.vocab_size == reverted.vocab_size and len(pieces[0]) == len(pieces[1])
    if not same or len(pieces[0]) < 2:
        return None
    to_bits = control.bits_per_byte / control.validation_loss
    interval = paired_interval([(b - a) * to_bits for a, b in zip(*pieces, strict=True)])
    return interval.low, interval.high
