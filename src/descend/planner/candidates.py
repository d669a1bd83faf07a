"""The configurations that a plan is chosen from, each with the steps that fit into the time."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from descend.config import RunConfig
from descend.model.cost import block_matrix_parameters
from descend.model.shape import ModelShape
from descend.planner.axes import Axes
from descend.planner.corpus_profile import CorpusProfile
from descend.planner.scaling_law import ScalingLaw, ScalingLawInput
from descend.planner.step_time import StepTimeModel, StepWorkload
from descend.training.recipe import choose_vocabulary

MIN_WIDTH_PER_LAYER, MAX_WIDTH_PER_LAYER = 16, 96
"""Width over layers: outside it networks are known to learn less for their size (Kaplan et al.
2020, figure 5, finds the loss within 2 % over this range)."""

MIN_STEPS = 20
"""Fewer updates are no training."""

MAX_EVALUATION_TOKENS = 2**17
"""Validation tokens judged after each pass, as training does (`training.job`)."""

JUDGING_FRACTION = 1 / 3
"""Time of judging a token, of training on it: the way ahead of ahead and back (`model.cost`)."""

SAVING_FRACTION = 0.04
"""Most that checkpoints and samples take of a run (`training.work`)."""

MAX_USEFUL_EPOCH_FACTOR = 3.0
"""Epochs after the first, in units of those that are worth anything: 95 % of their worth is had by
then. A run of ten epochs (tiny Shakespeare) was best after the eighth."""

MAX_VOCABULARY_RATIO = 2
"""From the recipe's vocabulary for the text, up or down. Farther from it the scaling law was wrong:
of 512 on 1 MB it expected 2.00, and 2.06 was reached in five minutes
(benchmarks/results/improve/contest.csv)."""

MAX_PARAMETERS_PER_TOKEN = 70
"""Numbers in the matrices of the blocks for each token of training text: as the default network has
on 150 kB. With 240 on 40 kB it ends lower than a small network too, but the scaling law rests on
one such run (benchmarks/results/plan/recipe_runs.csv)."""


def useful_epochs(law: ScalingLaw) -> float:
    """Return epochs over a text from which `law` expects next to nothing of another."""
    return 1 + MAX_USEFUL_EPOCH_FACTOR * math.exp(law.parameters[5])


@dataclass(frozen=True)
class PlanInputs:
    """What a plan rests on."""

    sample: CorpusProfile
    rates: StepTimeModel
    law: ScalingLaw
    seconds: float
    """Of training, evaluation, and saving."""
    axes: Axes


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


def sound_candidates(inputs: PlanInputs) -> Iterator[Candidate]:
    """Yield every sound combination of sizes, with as many steps as fit into the time."""
    for shape, context, bytes_per_token in _shapes(inputs):
        train_tokens = inputs.sample.train_bytes / bytes_per_token
        for batch_size in inputs.axes.batch_sizes(context):
            if batch_size * context > train_tokens and "batch_size" not in inputs.axes.fixed:
                continue
            candidate = fit_steps_to_time(inputs, shape, batch_size, context)
            if candidate:
                yield candidate


def fit_steps_to_time(
    inputs: PlanInputs,
    shape: ModelShape,
    batch_size: int,
    context: int,
) -> Candidate | None:
    """Return the run of `shape` that fits into the time, or a shorter one where the law expects
    more to overfit. None if fewer than `MIN_STEPS` fit.
    """
    sample, axes = inputs.sample, inputs.axes
    bytes_per_token = sample.train_bytes_per_token[shape.vocab_size]
    train_tokens, batch_tokens = sample.train_bytes / bytes_per_token, batch_size * context
    muon = axes.fixed.get("optimizer", "muon") == "muon"
    each = inputs.rates.seconds(StepWorkload(shape, batch_size, context, muon))
    judging = evaluation_seconds(sample, shape.vocab_size, each / batch_tokens)
    steps_per_epoch = train_tokens / batch_tokens
    epochs = useful_epochs(inputs.law)
    usable = inputs.seconds * (1 - SAVING_FRACTION) - judging
    max_steps = axes.max_epochs(steps_per_epoch) if axes.sets_length else steps_per_epoch * epochs
    steps = int(min(usable / (each + judging / steps_per_epoch), max_steps))
    if steps < min(MIN_STEPS, axes.max_epochs(steps_per_epoch)):
        return None
    setting = ScalingLawInput(
        text_difficulty=sample.difficulty, regularity=sample.regularity,
        block_parameters=shape.num_layers * block_matrix_parameters(shape),
        width=shape.embed_dim, vocab_size=shape.vocab_size, bytes_per_token=bytes_per_token,
        train_tokens=train_tokens, tokens=steps * batch_tokens,
        batch_tokens=batch_tokens, context=context,
    )  # fmt: skip
    expected = inputs.law.bits_per_byte(setting)
    fitted = Candidate(shape, batch_size, context, steps, each, setting, expected)
    return fitted if axes.sets_length else _long_enough(fitted, inputs.law)


def reaches_set_length(candidate: Candidate, axes: Axes) -> bool:
    """Return whether `candidate` has all the epochs or steps that the user set, if any."""
    if not axes.sets_length:
        return True
    setting = candidate.setting
    return candidate.steps >= int(axes.max_epochs(setting.train_tokens / setting.batch_tokens))


def _shapes(inputs: PlanInputs) -> Iterator[tuple[ModelShape, int, float]]:
    """Yield networks that are sound for the text, with their context and bytes per token."""
    sample, axes = inputs.sample, inputs.axes
    usual = choose_vocabulary(RunConfig(), sample.train_bytes)
    is_given = len(sample.train_bytes_per_token) == 1
    for vocab, ratio in sample.train_bytes_per_token.items():
        if not is_given and not 1 / MAX_VOCABULARY_RATIO <= vocab / usual <= MAX_VOCABULARY_RATIO:
            continue
        train_tokens = sample.train_bytes / ratio
        for width, layers, context in itertools.product(axes.widths, axes.layers, axes.contexts):
            shape = axes.shape(vocab, width, layers, context)
            if shape is None or (context >= train_tokens and "seq_len" not in axes.fixed):
                continue
            numbers = layers * block_matrix_parameters(shape)
            sound = MIN_WIDTH_PER_LAYER <= width / layers <= MAX_WIDTH_PER_LAYER
            if axes.sets_size or (sound and numbers <= MAX_PARAMETERS_PER_TOKEN * train_tokens):
                yield shape, context, ratio


def evaluation_tokens(sample: CorpusProfile, vocab_size: int) -> float:
    """Return the validation tokens that are judged after each pass."""
    return min(sample.validation_bytes / sample.bytes_per_token[vocab_size], MAX_EVALUATION_TOKENS)


def evaluation_seconds(sample: CorpusProfile, vocab_size: int, seconds_per_token: float) -> float:
    """Return the seconds of one evaluation, from those of training on a token."""
    return JUDGING_FRACTION * evaluation_tokens(sample, vocab_size) * seconds_per_token


def _long_enough(max_candidate: Candidate, outlook: ScalingLaw) -> Candidate:
    """Return `max_candidate`, or fewer steps of it where more would only be memorized."""
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
