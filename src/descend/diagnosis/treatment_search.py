"""A search over the treatments of the causes that a run's measurements point to.

The strength of a treatment is a range: each key moves from its value to the recommended one, half
as far or further, by ratio. A trial has the seed, the data and the time of its control, and ends
early once it is behind.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from descend.config import RunConfig
from descend.config_sources import with_changes
from descend.diagnosis.cause import TreatmentChange
from descend.diagnosis.causes import CAUSES
from descend.diagnosis.ranking import rank_causes
from descend.diagnosis.run_context import RunContext
from descend.errors import DescendError
from descend.experiments.improvement import TreatmentTrial
from descend.metrics.measurement import Measurements
from descend.model.shape import shape_from_run_config
from descend.planner.step_time import StepTimeModel, StepWorkload
from descend.trials.cached_trial import run_trial
from descend.trials.paired_stats import paired_interval
from descend.trials.trial_spec import EvalPoint, TrialResult, make_trial_spec

MIN_GAIN = 0.005
"""Fraction of the bits per byte that a treatment must gain to be kept; two seeds differ by as
much."""

PRUNE_MARGIN = 0.01
"""Fraction of the control's bits per byte by which a trial may be behind before it is ended."""

PRUNE_FROM = 0.5
"""Fraction of the steps before which no trial is ended: the rate is still at its peak."""

EVALUATIONS = 4
MAX_STRENGTH = 4.0
MIN_TRIALS = 6
"""Trials that the time of a search must hold; by that the length of each is chosen."""

MIN_STEPS = 40

TIME_KEYS = ("epoch", "max_steps", "minutes", "warmup_steps")
"""Keys that decide how long a run is. A search at equal time leaves them alone."""

SIZES = ("embed_dim", "num_heads", "num_layers", "ff_dim", "max_seq_len", "batch_size", "seq_len",
         "learning_rate")  # fmt: skip
"""Keys of the default recipe that the plan chooses otherwise."""

ALWAYS_TRIED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("recipe: stronger weight decay", {"weight_decay": 0.4}),
    ("recipe: token dropout", {"token_dropout": 0.1}),
    ("recipe: BPE-dropout", {"bpe_dropout": 0.1}),
)
"""Changes that help with much repeated text, whatever the measurements say (arXiv 2509.14786 for
the decay; docs/recipe.md for all)."""


class Move(msgspec.Struct, frozen=True):
    """A change to try, of one cause."""

    cause: str
    keys: dict[str, Any]


class TreatmentSearchResult(msgspec.Struct, frozen=True):
    """What a search came to."""

    changes: dict[str, Any]
    """Of all treatments that were kept."""
    trials: list[TreatmentTrial]


OnTrial = Callable[[TreatmentTrial], None]


def all_moves(context: RunContext, measurements: Measurements) -> list[Move]:
    """Return the sizes of the default recipe, then `cause_moves`, then what helps with repeated
    text."""
    sizes = {k: v for k in SIZES if (v := getattr(RunConfig(), k)) != getattr(context.config, k)}
    moves = [Move("recipe: the default sizes", sizes)] if sizes else []
    moves += cause_moves(context, measurements)
    return moves + [Move(name, keys) for name, keys in ALWAYS_TRIED]


def cause_moves(context: RunContext, measurements: Measurements) -> list[Move]:
    """Return the treatments of the causes that `context` may have, the likeliest first."""
    moves: list[Move] = []
    for ranked_cause in rank_causes(CAUSES, context.config, measurements):
        if ranked_cause.exclusion_reason is None:
            moves += [
                Move(ranked_cause.cause.name, keys)
                for change in ranked_cause.cause.treatments(context.config, measurements)[:1]
                if (keys := _keys_of(change, context.config))
            ]
    return moves


def _keys_of(change: TreatmentChange, config: RunConfig) -> dict[str, Any]:
    """Return the keys that `change` sets to other values; none of a change that is no treatment."""
    if change.is_ablation or change.train_fraction != 1.0:
        return {}
    keys = {k: v for k, v in change.keys.items() if k not in (*TIME_KEYS, "vocab_path")}
    return {k: v for k, v in keys.items() if getattr(config, k) != v}


def at_strength(config: RunConfig, keys: Mapping[str, Any], strength: float) -> dict[str, Any]:
    """Return `keys` moved from the values of `config`, by ratio: 1 is all the way.

    Values that are no numbers above 0 are taken as they are.
    """
    changed_keys = dict(keys)
    for key, target in keys.items():
        start = getattr(config, key)
        if _is_scale(start) and _is_scale(target):
            value = start * (target / start) ** strength
            changed_keys[key] = (
                max(1, round(value)) if isinstance(start, int) else float(f"{value:.2g}")
            )
    return changed_keys


def has_strength(config: RunConfig, keys: Mapping[str, Any]) -> bool:
    """Return whether a number in `keys` can be moved by another distance."""
    return any(_is_scale(v) and _is_scale(getattr(config, k)) for k, v in keys.items())


def _is_scale(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


class TreatmentSearch:
    """Trials against a control, which takes over every treatment that gains."""

    def __init__(
        self, config: RunConfig, vocab_size: int, rates: StepTimeModel, steps: int, ends: float,
        on_trial: OnTrial,
    ) -> None:  # fmt: skip
        """Run the control for `steps`; nothing is begun after `ends` (by `time.perf_counter`)."""
        self.config, self.vocab_size, self.rates = config, vocab_size, rates
        self.ends, self.on_trial = ends, on_trial
        self.changes: dict[str, Any] = {}
        self.trials: list[TreatmentTrial] = []
        self._seconds = steps * self._cost(config)
        self._control = self._run(config, None)

    def run(self, moves: list[Move]) -> TreatmentSearchResult:
        """Try each of `moves`, at several strengths where it gains or could overshoot."""
        tried: list[dict[str, Any]] = []
        for move in moves:
            if not self._has_time():
                break
            if move.keys not in tried:  # two causes may have one treatment
                self._climb(move)
            tried.append(move.keys)
        return TreatmentSearchResult(self.changes, self.trials)

    def _climb(self, move: Move) -> None:
        """Find the best strength of `move`: further while it gains, else half as far."""
        start, reached, best = self.config, self._control, None
        for strength in self._strengths(move):
            keys = at_strength(start, move.keys, strength)
            trial, result = self._try(start, move.cause, strength, keys)
            if trial is None or result is None:
                break
            better = result.bits_per_byte < reached.bits_per_byte
            if better and trial.gain >= MIN_GAIN * trial.control:
                best, reached = (trial, keys), result
            elif best is not None:
                break  # further is worse
        if best is not None:
            trial, keys = best
            self.config = with_changes(start, keys)
            self.changes |= keys
            self._control = reached
            accepted = msgspec.structs.replace(trial, accepted=True)
            self.trials[self.trials.index(trial)] = accepted
            self.on_trial(accepted)

    def _strengths(self, move: Move) -> Iterator[float]:
        """Yield 1, then 2 and 4 where that gained, 0.5 where it did not."""
        yield 1.0
        if not (self.trials and has_strength(self.config, move.keys)):
            return
        last = self.trials[-1]
        if last.gain < MIN_GAIN * last.control:
            yield 0.5
            return
        strength = 2.0
        while strength <= MAX_STRENGTH:
            yield strength
            strength *= 2

    def _try(
        self, start: RunConfig, cause: str, strength: float, keys: dict[str, Any]
    ) -> tuple[TreatmentTrial | None, TrialResult | None]:
        control = self._control
        if not self._has_time():
            return None, None
        try:
            result = self._run(with_changes(start, keys), control)
        except DescendError:
            return None, None  # a strength at which it cannot be trained
        gain = control.bits_per_byte - result.bits_per_byte
        trial = TreatmentTrial(
            cause=cause, strength=strength, changes=keys, control=control.bits_per_byte,
            treated=result.bits_per_byte, gain=gain, ci95=interval_of(control, result),
            pruned=_was_pruned(result), accepted=False, seconds=result.seconds,
        )  # fmt: skip
        self.trials.append(trial)
        self.on_trial(trial)
        return trial, result

    def _run(self, config: RunConfig, control: TrialResult | None) -> TrialResult:
        """Return a trial of `config`, as long in time as the control's steps."""
        steps = self.steps_for(config)
        spec = make_trial_spec(
            config, steps=steps, evaluate_every=max(1, math.ceil(steps / EVALUATIONS))
        )

        def is_behind(point: EvalPoint) -> bool:
            if control is None or point.step < PRUNE_FROM * steps or point.step == steps:
                return False
            fraction = point.step / steps
            beside = [p for p in control.curve if p.step >= fraction * control.steps]
            return bool(beside) and point.bits_per_byte > (1 + PRUNE_MARGIN) * (
                beside[0].bits_per_byte
            )

        return run_trial(spec, is_behind)

    def steps_for(self, config: RunConfig) -> int:
        """Return steps of `config` that take as long as those of the first control."""
        return max(1, round(self._seconds / self._cost(config)))

    def _cost(self, config: RunConfig) -> float:
        """Return seconds of a step by the rates of this machine."""
        shape = shape_from_run_config(config, config.vocab_size or self.vocab_size)
        work = StepWorkload(shape, config.batch_size, config.seq_len, config.optimizer == "muon")
        return self.rates.seconds(work)

    def _has_time(self) -> bool:
        took = self._control.seconds
        return time.perf_counter() + took < self.ends


def _was_pruned(result: TrialResult) -> bool:
    """Return whether the trial ended at an evaluation before its last."""
    return len(result.curve) < EVALUATIONS or result.diverged_step is not None


def interval_of(control: TrialResult, treated: TrialResult) -> tuple[float, float] | None:
    """Return 95 % interval of the gain in bits per byte, over pieces of the validation set.

    None where the pieces are not the same: of another vocabulary, or of a trial that ended early.
    """
    same = control.vocab_size == treated.vocab_size and len(control.chunk_losses) == len(
        treated.chunk_losses
    )
    if not same or len(control.chunk_losses) < 2 or _was_pruned(treated):
        return None
    to_bits = control.bits_per_byte / control.validation_loss
    gains = [
        (a - b) * to_bits for a, b in zip(control.chunk_losses, treated.chunk_losses, strict=True)
    ]
    interval = paired_interval(gains)
    return interval.low, interval.high
