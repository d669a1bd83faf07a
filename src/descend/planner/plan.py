"""What to train on a text in a given time: every sensible configuration is weighed, none is run.

How many steps of a configuration fit comes from `rates`, what they will reach from `outlook`; the
configuration with the lowest bits per byte expected is the plan.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from descend.config import make_config
from descend.errors import ConfigError, CorpusError, UserError
from descend.model.cost import block_matrix_parameters, parameter_count, training_memory
from descend.model.shape import ModelShape, shape_from_run_config
from descend.planner.axes import Axes
from descend.planner.corpus_profile import CorpusProfile
from descend.planner.scaling_law import ScalingLaw, ScalingLawInput
from descend.planner.step_time import StepTimeModel, StepWorkload

MIN_WIDTH_PER_LAYER, MAX_WIDTH_PER_LAYER = 16, 96
"""Width over layers: outside it networks are known to learn less for their size (Kaplan et al.
2020, figure 5, finds the loss within 2 % over this range)."""

MIN_RATE, MAX_RATE = 2e-4, 4e-3
"""Rates between which the scaling law was fitted; beyond them it knows nothing."""

MIN_STEPS = 20
"""Fewer updates are no training."""

MAX_EVALUATION_TOKENS = 2**17
"""Validation tokens judged after each pass, as training does (`training.job`)."""

JUDGING_FRACTION = 1 / 3
"""Time of judging a token, of training on it: the way ahead of ahead and back (`model.cost`)."""

SAVING_FRACTION = 0.04
"""Most that checkpoints and samples take of a run (`training.work`)."""

MIN_MINUTES, MAX_MINUTES = 1 / 60, 60 * 24 * 30
"""Minutes a plan may be made for: a second to a month."""

MAX_USEFUL_EPOCH_FACTOR = 3.0
"""Epochs after the first, in units of those that are worth anything: 95 % of their worth is had by
then. A run of ten epochs (tiny Shakespeare) was best after the eighth."""

MAX_PARAMETERS_PER_TOKEN = 10
"""Numbers in the matrices of the blocks for each token of training text: as many as any run had
that the scaling law was fitted to. Larger networks memorize, which the scaling law does not see."""


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


class Candidate(msgspec.Struct, frozen=True):
    """A configuration that was weighed."""

    shape: ModelShape
    batch_size: int
    seq_len: int
    steps: int
    seconds_per_step: float
    setting: ScalingLawInput
    bits_per_byte: float

    def config(self, rate: float, fixed: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """As keys of `RunConfig`; those of `fixed` as they are."""
        return {
            "vocab_size": self.shape.vocab_size,
            "embed_dim": self.shape.embed_dim,
            "num_heads": self.shape.num_heads,
            "num_layers": self.shape.num_layers,
            "ff_dim": self.shape.ff_dim,
            "max_seq_len": self.shape.max_seq_len,
            "batch_size": self.batch_size,
            "seq_len": self.seq_len,
            "learning_rate": rate,
            "schedule": "wsd",
            "optimizer": "muon",
            "architecture": "modern",
            "max_steps": self.steps,
        } | dict(fixed or {})


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
    def ends_for_text(self) -> bool:
        """Whether the text ends the planned run: not the time, and not the user."""
        return not self.has_user_length and self.predicted.seconds < NEARLY_ALL * 60 * self.minutes


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
    """The best configuration for `minutes` of training; `max_memory` in bytes.

    What the user set stays as in `axes`. Raises `ConfigError` for a time out of bounds, `UserError`
    if nothing fits.
    """
    if not MIN_MINUTES <= minutes <= MAX_MINUTES:
        raise ConfigError(
            "minutes", f"{minutes:g}", f"{MIN_MINUTES:.2g} to {MAX_MINUTES:,} minutes",
            "choose a time between them",
        )  # fmt: skip
    weighed = sorted(
        _candidates(sample, rates, outlook, minutes * 60, axes), key=lambda c: c.bits_per_byte
    )
    if not weighed and minutes < MAX_MINUTES:
        _check_text(sample, rates, outlook, axes)
    if not weighed:
        raise UserError(
            "minutes", f"{minutes:.2g} left for training",
            f"time for {MIN_STEPS} steps of the smallest network that may be planned",
            "give more minutes" + (", or set fewer keys" if axes.fixed else ""),
        )  # fmt: skip
    best = _first_that_fits(weighed, outlook, max_memory)
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
    if next(_candidates(sample, rates, outlook, 60 * MAX_MINUTES, axes), None) is None:
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
    """The plan for the shortest time (within 5 %) expected to reach `target` bits per byte.

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


def _candidates(
    sample: CorpusProfile, rates: StepTimeModel, outlook: ScalingLaw, seconds: float, axes: Axes
) -> Iterator[Candidate]:
    """Every combination that is sound, with as many steps as fit into `seconds`."""
    useful_epochs = math.exp(outlook.parameters[5])
    muon = axes.fixed.get("optimizer", "muon") == "muon"
    for shape, context, ratio in _shapes(sample, axes):
        train_tokens = sample.train_bytes / ratio
        numbers = shape.num_layers * block_matrix_parameters(shape)
        for batch in axes.batch_sizes(context):
            batch_tokens = batch * context
            if batch_tokens > train_tokens and "batch_size" not in axes.fixed:
                continue
            each = rates.seconds(StepWorkload(shape, batch, context, muon))
            judging = (
                JUDGING_FRACTION
                * _evaluation_tokens(sample, shape.vocab_size)
                * each
                / batch_tokens
            )
            steps_per_pass = train_tokens / batch_tokens
            useful = steps_per_pass * (1 + MAX_USEFUL_EPOCH_FACTOR * useful_epochs)
            usable = seconds * (1 - SAVING_FRACTION) - judging
            steps = int(
                min(
                    usable / (each + judging / steps_per_pass),
                    axes.max_epochs(steps_per_pass) if axes.sets_length else useful,
                )
            )
            if steps < min(MIN_STEPS, axes.max_epochs(steps_per_pass)):
                continue
            setting = ScalingLawInput(
                text_difficulty=sample.difficulty, block_parameters=numbers,
                width=shape.embed_dim, vocab_size=shape.vocab_size, bytes_per_token=ratio,
                train_tokens=train_tokens, tokens=steps * batch_tokens,
                batch_tokens=batch_tokens, context=context,
            )  # fmt: skip
            max_candidate = Candidate(shape, batch, context, steps, each, setting,
                                outlook.bits_per_byte(setting))  # fmt: skip
            yield max_candidate if axes.sets_length else _long_enough(max_candidate, outlook)


def _shapes(sample: CorpusProfile, axes: Axes) -> Iterator[tuple[ModelShape, int, float]]:
    """Networks that are sound for the text, with their context and bytes per token."""
    for vocab, ratio in sample.train_bytes_per_token.items():
        train_tokens = sample.train_bytes / ratio
        for width, layers, context in itertools.product(axes.widths, axes.layers, axes.contexts):
            shape = axes.shape(vocab, width, layers, context)
            if shape is None or (context >= train_tokens and "seq_len" not in axes.fixed):
                continue
            numbers = layers * block_matrix_parameters(shape)
            sound = MIN_WIDTH_PER_LAYER <= width / layers <= MAX_WIDTH_PER_LAYER
            if axes.sets_size or (sound and numbers <= MAX_PARAMETERS_PER_TOKEN * train_tokens):
                yield shape, context, ratio


def _evaluation_tokens(sample: CorpusProfile, vocab_size: int) -> float:
    """Validation tokens that are judged after each pass."""
    return min(sample.validation_bytes / sample.bytes_per_token[vocab_size], MAX_EVALUATION_TOKENS)


def _long_enough(max_candidate: Candidate, outlook: ScalingLaw) -> Candidate:
    """`max_candidate`, or fewer steps of it where more would only be memorized."""
    best = max_candidate
    while (steps := int(best.steps * SHORTER)) >= MIN_STEPS:
        setting = msgspec.structs.replace(best.setting, tokens=steps * best.setting.batch_tokens)
        expected = outlook.bits_per_byte(setting)
        if expected >= best.bits_per_byte:
            break
        best = msgspec.structs.replace(best, steps=steps, setting=setting, bits_per_byte=expected)
    return best


SHORTER = 0.9
"""Lengths that are weighed, of the next longer one."""


def _first_that_fits(
    weighed: list[Candidate], outlook: ScalingLaw, max_memory: int | None
) -> Candidate:
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
    """The planned run, as far as the law's loss follows from it."""
    config, sample = make_config(plan.config), plan.sample
    vocab = int(plan.config.get("vocab_size") or next(iter(sample.bytes_per_token)))
    shape = shape_from_run_config(config, vocab)
    ratio = sample.train_bytes_per_token[vocab]
    return ScalingLawInput(
        text_difficulty=sample.difficulty,
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
    evaluation_tokens = _evaluation_tokens(sample, setting.vocab_size)
    judging = judgments * JUDGING_FRACTION * evaluation_tokens * each / setting.batch_tokens
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
