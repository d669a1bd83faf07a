"""What to train on a text in a given time: every sensible configuration is weighed, none is run.

How many steps of a configuration fit comes from `rates`, what they will reach from `outlook`. The
configuration with the lowest bits per byte expected is the plan.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

from descend.config import make_config
from descend.errors import ConfigError, CorpusError, UserError
from descend.model.cost import block_matrix_parameters, parameter_count, training_memory
from descend.model.shape import shape_from_run_config
from descend.planner.axes import Axes
from descend.planner.candidates import (
    MIN_STEPS,
    SAVING_FRACTION,
    Candidate,
    PlanInputs,
    evaluation_seconds,
    reaches_set_length,
    sound_candidates,
)
from descend.planner.corpus_profile import CorpusProfile
from descend.planner.scaling_law import ScalingLaw, ScalingLawInput
from descend.planner.step_time import StepTimeModel

MIN_RATE, MAX_RATE = 2e-4, 4e-3
"""Rates between which the scaling law was fitted; beyond them it knows nothing."""

MIN_MINUTES, MAX_MINUTES = 1 / 60, 60 * 24 * 30
"""Minutes a plan may be made for: a second to a month."""


class Prediction(msgspec.Struct, frozen=True):
    """What a planned run is expected to come to; intervals are of 80 %."""

    validation_loss: float
    """Nats per token of validation text."""
    interval: tuple[float, float]
    bits_per_byte: float
    bits_per_byte_interval: tuple[float, float]
    seconds: float
    """Of training, judging and saving."""
    seconds_per_step: float
    steps: int
    num_epochs: float
    tokens: int
    parameters: int
    memory_bytes: int


class TrainingPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration, why it was chosen, and what is expected of it."""

    minutes: float
    config: dict[str, Any]
    predicted: Prediction
    sample: CorpusProfile
    rates: StepTimeModel
    num_candidates: int
    """Configurations compared."""
    alternatives: list[Candidate]
    """The best of each other size of network, best first: what the plan was chosen over."""
    has_user_length: bool = False
    """Whether the user set the number of epochs or steps."""

    @property
    def leaves_time(self) -> bool:
        """Whether the planned run ends before the time is up, by its plan and not by the user.

        More epochs would overfit, or the time is for later models. Time for one more evaluation, or
        less, does not count.
        """
        taken = self.predicted.seconds + self.evaluation_seconds
        return not self.has_user_length and taken < NEARLY_ALL * 60 * self.minutes

    @property
    def evaluation_seconds(self) -> float:
        """Seconds that one evaluation is expected to take."""
        batch_tokens: int = self.config["batch_size"] * self.config["seq_len"]
        seconds_per_token = self.predicted.seconds_per_step / batch_tokens
        return evaluation_seconds(self.sample, self.vocab_size, seconds_per_token)

    @property
    def vocab_size(self) -> int:
        """Tokens of the vocabulary: those of a tokenizer that the user named, too."""
        return int(self.config.get("vocab_size") or next(iter(self.sample.bytes_per_token)))


NEARLY_ALL = 0.95
"""Fraction of the minutes from which a plan is limited by them: whole steps seldom fill them."""


FREE = Axes({})
"""Nothing was set by the user."""


def choose_config(
    sample: CorpusProfile,
    rates: StepTimeModel,
    outlook: ScalingLaw,
    minutes: float,
    max_memory: int | None = None,
    axes: Axes = FREE,
) -> TrainingPlan:
    """Return the best configuration for `minutes` of training; `max_memory` in bytes.

    What the user set stays as in `axes`. Raises `ConfigError` for a time out of bounds, `UserError`
    if nothing fits.
    """
    if not MIN_MINUTES <= minutes <= MAX_MINUTES:
        raise ConfigError(
            "minutes", f"{minutes:g}", f"{MIN_MINUTES:.2g} to {MAX_MINUTES:,} minutes",
            "choose a time between them",
        )  # fmt: skip
    inputs = PlanInputs(sample, rates, outlook, minutes * 60, axes)
    weighed = sorted(sound_candidates(inputs), key=lambda c: c.bits_per_byte)
    weighed = [c for c in weighed if reaches_set_length(c, axes)] or weighed
    if not weighed and minutes < MAX_MINUTES:
        _check_text(sample, rates, outlook, axes)
    if not weighed:
        raise UserError(
            "minutes", f"{minutes:.2g} left for training",
            f"time for {MIN_STEPS} steps of the smallest network that may be planned",
            "give more minutes" + (", or set fewer keys" if axes.fixed else ""),
        )  # fmt: skip
    best = _first_that_fits(weighed, max_memory)
    config = best.config(_rate(outlook, best), axes.fixed | {"max_steps": best.steps})
    sizes: dict[tuple[int, int], Candidate] = {}
    for other in weighed:
        sizes.setdefault((other.shape.embed_dim, other.shape.num_layers), other)
    return TrainingPlan(
        minutes=minutes,
        config=config,
        predicted=_predict(best, outlook, sample),
        sample=sample,
        rates=rates,
        num_candidates=len(weighed),
        alternatives=[c for c in sizes.values() if c.shape != best.shape][:NUM_ALTERNATIVES],
        has_user_length=axes.sets_length,
    )


NUM_ALTERNATIVES = 4


class TextTooShortError(CorpusError):
    """No plan can be made for the text, whatever the time."""


def _check_text(
    sample: CorpusProfile, rates: StepTimeModel, outlook: ScalingLaw, axes: Axes
) -> None:
    inputs = PlanInputs(sample, rates, outlook, 60 * MAX_MINUTES, axes)
    if next(sound_candidates(inputs), None) is None:
        raise TextTooShortError(
            "corpus_dir", f"{sample.train_bytes:,} bytes of training text",
            f"enough for {MIN_STEPS} steps of the smallest network without memorizing it",
            "add text, or train it with `descend train` without minutes",
        )  # fmt: skip


def plan_for_target_loss(
    target: float,
    sample: CorpusProfile,
    rates: StepTimeModel,
    outlook: ScalingLaw,
    max_memory: int | None = None,
    axes: Axes = FREE,
) -> TrainingPlan:
    """Return the plan for the shortest time (within 5 %) expected to reach `target` bits per byte.

    Raises `ConfigError` for a target not above zero, `UserError` for one out of reach.
    """
    if not target > 0:
        raise ConfigError(
            "target_bits_per_byte", f"{target:g}", "bits per byte above 0", "choose a loss above 0"
        )
    low, high, plan = math.log(MIN_MINUTES), math.log(MAX_MINUTES), None
    while high - low > CLOSE_ENOUGH:
        middle = (low + high) / 2
        try:
            candidate_plan = choose_config(
                sample, rates, outlook, math.exp(middle), max_memory, axes
            )
        except UserError:
            low = middle
            continue
        if candidate_plan.predicted.bits_per_byte <= target:
            high, plan = middle, candidate_plan
        else:
            low = middle
    if plan is None:
        best = choose_config(
            sample, rates, outlook, MAX_MINUTES, max_memory, axes
        ).predicted.bits_per_byte
        raise UserError(
            "target_bits_per_byte",
            f"{target:g} bits per byte",
            f"{best:.2f} or more, the least expected on this text within {MAX_MINUTES // 1440}"
            " days",
            "choose a higher target, or give more text",
        )
    return plan


CLOSE_ENOUGH = 0.05


def _first_that_fits(weighed: list[Candidate], max_memory: int | None) -> Candidate:
    if max_memory is None:
        return weighed[0]
    for candidate in weighed:
        if _memory(candidate) <= max_memory:
            return candidate
    min_bytes = min(_memory(c) for c in weighed)
    raise ConfigError(
        "max_memory", f"{max_memory:,} bytes", f"at least {min_bytes:,} for the smallest network",
        "allow more memory",
    )  # fmt: skip


def _memory(candidate: Candidate) -> int:
    keys = candidate.config(MIN_RATE)
    keys.pop("max_steps")
    return training_memory(make_config(keys), candidate.shape)


def _rate(outlook: ScalingLaw, candidate: Candidate) -> float:
    setting = candidate.setting
    best = outlook.optimal_learning_rate(setting.batch_tokens, setting.width)
    return float(f"{min(max(best, MIN_RATE), MAX_RATE):.2g}")


def law_input(plan: TrainingPlan) -> ScalingLawInput:
    """Return the planned run, as far as the law's loss follows from it."""
    config, sample = make_config(plan.config), plan.sample
    vocab = plan.vocab_size
    shape = shape_from_run_config(config, vocab)
    ratio = sample.train_bytes_per_token[vocab]
    return ScalingLawInput(
        text_difficulty=sample.difficulty, regularity=sample.regularity,
        block_parameters=shape.num_layers * block_matrix_parameters(shape),
        width=shape.embed_dim, vocab_size=vocab, bytes_per_token=ratio,
        train_tokens=sample.train_bytes / ratio, tokens=plan.predicted.tokens,
        batch_tokens=config.batch_size * config.seq_len, context=config.seq_len,
    )  # fmt: skip


def _predict(candidate: Candidate, outlook: ScalingLaw, sample: CorpusProfile) -> Prediction:
    setting = candidate.setting
    low, high = outlook.interval(setting)
    to_nats = math.log(2) * sample.bytes_per_token[setting.vocab_size]
    each, steps = candidate.seconds_per_step, candidate.steps
    judgments = math.ceil(setting.tokens / setting.train_tokens)
    judging = judgments * evaluation_seconds(
        sample, setting.vocab_size, each / setting.batch_tokens
    )
    return Prediction(
        validation_loss=candidate.bits_per_byte * to_nats,
        interval=(low * to_nats, high * to_nats),
        bits_per_byte=candidate.bits_per_byte,
        bits_per_byte_interval=(low, high),
        seconds=(steps * each + judging) / (1 - SAVING_FRACTION),
        seconds_per_step=each,
        steps=steps,
        num_epochs=setting.tokens / setting.train_tokens,
        tokens=int(setting.tokens),
        parameters=parameter_count(candidate.shape),
        memory_bytes=_memory(candidate),
    )
