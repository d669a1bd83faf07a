"""A plan from start to end: look at the text, time the machine, choose; and carry it out."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import msgspec

from descend.config import RunConfig, make_config
from descend.config_sources import ResolvedConfig, resolve_config
from descend.data.prepare import prepare_documents
from descend.data.text_shape import has_words
from descend.data.token_store import PreparedCorpus
from descend.data.tokenizer import load_tokenizer
from descend.errors import ConfigError, UserError
from descend.launch_environment import read_launch_environment
from descend.machine import free_memory_bytes, resolve_device
from descend.planner.axes import axes_for
from descend.planner.candidates import SHORTER, useful_epochs
from descend.planner.corpus_profile import CorpusProfile, profile_corpus, training_sample
from descend.planner.generations import (
    ROUND_SECONDS,
    LaterModel,
    choose_later_models,
    estimate_final_loss,
    generation_seconds,
    plan_first_model,
)
from descend.planner.machine_benchmark import (
    MachineBenchmark,
    benchmark_machine,
    calibrate_to_config,
)
from descend.planner.plan import (
    MIN_MINUTES,
    Prediction,
    TrainingPlan,
    choose_config,
    law_input,
    plan_for_target_loss,
)
from descend.planner.scaling_law import ScalingLaw, load_scaling_law
from descend.planner.step_time import StepTimeModel
from descend.training.execution.autotune import COMPILE_SECONDS, EXPECTED_COMPILE_SPEEDUP
from descend.training.recipe import choose_dropouts

BYTES_PER_GB = 1e9


class CorpusPlan(msgspec.Struct, frozen=True):
    """A plan for a text on this machine."""

    corpus: str
    machine: MachineBenchmark
    plan: TrainingPlan
    fixed: dict[str, Any] = {}
    """Keys that the user set."""
    minutes: float | None = None
    """Of the user, from the start to the saved model; the minutes of the plan are of training."""

    def as_json(self) -> dict[str, Any]:
        """For `--json`: config, what is predicted, and what both rest on."""
        plan = msgspec.to_builtins(self.plan, str_keys=True)
        machine = msgspec.to_builtins(self.machine)
        fields: dict[str, Any] = {"corpus": self.corpus} | plan | {"machine": machine}
        fields |= {"num_models": self.num_models, "final_bits_per_byte": self.final_bits_per_byte}
        return fields | {"minutes": self.minutes or self.plan.minutes}

    @property
    def later_models(self) -> list[LaterModel]:
        """Models to train after the first, each of which learns from those before it."""
        if self.minutes is None or read_launch_environment():
            return []
        return choose_later_models(self.plan, self.fixed)

    @property
    def num_models(self) -> int:
        """Models to train one after the other."""
        return 1 + len(self.later_models)

    @property
    def final_bits_per_byte(self) -> float:
        """Bits per byte of validation text expected of the last model."""
        return estimate_final_loss(self.plan, self.later_models)

    @property
    def unused_seconds(self) -> float:
        """Seconds of the time limit that no model takes."""
        base_seconds = self.plan.predicted.seconds
        used = base_seconds + sum(
            length * generation_seconds(base_seconds, num_teachers) + ROUND_SECONDS
            for num_teachers, length in self.later_models
        )
        return max(0.0, 60 * self.plan.minutes - used)


class Allowance(msgspec.Struct, frozen=True):
    """The minutes that a user allows, and when they began."""

    minutes: float
    began: float
    """By `time.perf_counter`."""

    @property
    def ends(self) -> float:
        """When the model has to be saved, by `time.perf_counter`."""
        return self.began + 60 * self.minutes

    def left_for_training(self, sample: CorpusProfile) -> float:
        """Minutes that will be left once the text is prepared."""
        ready = time.perf_counter() + sample.seconds_to_prepare + SETUP_SECONDS
        left = (self.ends - ready) / 60
        if left < MIN_MINUTES:
            raise UserError(
                "minutes", f"{self.minutes:g}",
                f"more than {(ready - self.began) / 60:.2g} minutes, which planning and preparing "
                "the text take", "give more minutes",
            )  # fmt: skip
        return left


TOKENIZER_KEYS = {"tokenizer", "vocab_size", "vocab_path"}

SETUP_SECONDS = 3.0
"""From the plan to the first step, the text apart: the network is made, checked and timed. Origin:
1.5 to 4 s on a busy core."""


def make_corpus_plan(
    corpus: str | None, minutes: float | None, target_bits_per_byte: float | None = None,
    max_memory: float | None = None, settings: ResolvedConfig | None = None,
    began: float | None = None,
) -> CorpusPlan:  # fmt: skip
    """Return the plan for `corpus`: for so many minutes, or (if None) for so many bits per byte.

    `max_memory` in GB. What `settings` set stays as set. `minutes` are those of training, or with
    `began` (by `time.perf_counter`) all from then to the saved model. Raises `ConfigError` for
    bounds that cannot be met, `CorpusError` for a text that cannot be used.
    """
    if minutes is None and target_bits_per_byte is None:
        raise ConfigError("minutes", "neither minutes nor a target", "one of them", "give one")
    # What needs no look at text or machine is refused at once.
    check_bounds(minutes, target_bits_per_byte, max_memory)
    settings = settings or resolve_config(environment={})
    base, fixed = settings.config, settings.requested_config
    text = prepare_documents(base.model_copy(update={"corpus_dir": corpus}))
    chosen: dict[str, Any] = {}
    if not fixed.keys() & TOKENIZER_KEYS and not has_words(training_sample(text)):
        chosen = {"tokenizer": "char"}
        base = base.model_copy(update=chosen)
    sample = _sample(text, base)
    machine = benchmark_machine(base.device)
    memory = None if max_memory is None else int(max_memory * BYTES_PER_GB)
    named = base.tokenizer != "bpe" or base.vocab_path is not None
    axes = axes_for({k: v for k, v in fixed.items() if not (named and k == "vocab_size")})
    allowance = None if began is None or minutes is None else Allowance(minutes, began)

    def planned(rates: StepTimeModel) -> TrainingPlan:
        rest = (sample, rates, load_scaling_law())
        if target_bits_per_byte is not None:
            return plan_for_target_loss(target_bits_per_byte, *rest, memory, axes)
        assert minutes is not None

        def plan_for(training_minutes: float) -> TrainingPlan:
            return choose_config(*rest, training_minutes, memory, axes)

        if allowance is None:
            return plan_for(minutes)
        left = allowance.left_for_training(sample)
        has_one_model = read_launch_environment() is not None
        return plan_for(left) if has_one_model else plan_first_model(plan_for, left, fixed)

    plan = planned(machine.rates)
    if _should_time(plan.predicted, resolve_device(base.device)):
        steps, each = plan.predicted.steps, plan.predicted.seconds_per_step
        machine = calibrate_to_config(machine, _resolved(plan), steps, each)
        plan = planned(machine.rates)
    if named:
        rest = {k: v for k, v in plan.config.items() if k != "vocab_size"}
        plan = msgspec.structs.replace(plan, config=rest | chosen)
    where = str(text.source.paths[0]) if text.source.is_stream_copy else corpus or "python"
    return CorpusPlan(where, machine, plan, fixed, None if allowance is None else minutes)


def _sample(text: PreparedCorpus, config: RunConfig) -> CorpusProfile:
    """Return the text, by the tokenizers that the user's configuration leaves open."""
    given = load_tokenizer(Path(config.vocab_path)) if config.vocab_path else None
    sizes = None if config.vocab_size is None else [config.vocab_size]
    return profile_corpus(text, config.tokenizer, sizes, given)


LONG_ENOUGH = COMPILE_SECONDS / EXPECTED_COMPILE_SPEEDUP
"""Seconds of a run from which training may compile: then the planned network itself is timed."""
QUICK = 2.0
"""Seconds of a step up to which that is done: a dozen are made, and compiling adds to them."""
ROOM = 0.5
"""Of the memory that is free, that it may take."""


def _should_time(prediction: Prediction, device: str) -> bool:
    """Return whether the planned network should be timed itself before the plan is final."""
    free = free_memory_bytes(device)
    room = free is None or prediction.memory_bytes <= ROOM * free
    return prediction.seconds >= LONG_ENOUGH and prediction.seconds_per_step <= QUICK and room


def _resolved(plan: TrainingPlan) -> RunConfig:
    """Return the configuration of the planned run as training resolves it, so far as it bears on
    time."""
    dropouts = choose_planned_dropouts(make_config(plan.config), plan)
    return make_config(plan.config | dropouts | {"gradient_accumulation_steps": 1})


def choose_planned_dropouts(config: RunConfig, plan: TrainingPlan) -> dict[str, float]:
    """Return the dropouts of the recipe for `config`, trained for the epochs of `plan`."""
    num_epochs = math.ceil(plan.predicted.num_epochs)
    return choose_dropouts(config, num_epochs, law_input(plan).train_tokens)


def check_bounds(
    minutes: float | None, target_bits_per_byte: float | None, max_memory: float | None
) -> None:
    """Raise `ConfigError` for a time, a loss or a memory that is not above zero."""
    limits = {
        "minutes": minutes,
        "target_bits_per_byte": target_bits_per_byte,
        "max_memory": max_memory,
    }
    for name, value in limits.items():
        if value is not None and not 0 < value < float("inf"):
            raise ConfigError(name, f"{value:g}", "a number above 0", "choose one above 0")


SPARE_STEPS = 2.0
"""Steps that a run with a time limit may make, over those planned: a machine that is quicker than
it was when it was timed is made use of, as far as more passes over the text do not overfit. The
run itself chooses its end step (`training.end_step`)."""


def count_useful_steps(plan: TrainingPlan, law: ScalingLaw) -> int:
    """Return steps of the planned network from which more passes over the text would only
    overfit."""
    setting = law_input(plan)
    steps = int(useful_epochs(law) * setting.train_tokens / setting.batch_tokens)
    best = math.inf
    while steps > plan.predicted.steps:
        tokens = steps * setting.batch_tokens
        expected = law.bits_per_byte(msgspec.structs.replace(setting, tokens=tokens))
        if expected >= best:
            return int(steps / SHORTER)
        best, steps = expected, int(SHORTER * steps)
    return plan.predicted.steps if math.isinf(best) else int(steps / SHORTER)


def plan_config(planned: CorpusPlan, save_dir: str | None = None) -> RunConfig:
    """Return the planned run as a configuration."""
    keys = planned.plan.config | planned.fixed | {"corpus_dir": planned.corpus}
    if save_dir is not None:
        keys["save_dir"] = save_dir
    plan = planned.plan
    if planned.minutes is not None:
        if not plan.leaves_time and not plan.has_user_length:
            useful_steps = count_useful_steps(plan, load_scaling_law())
            keys["max_steps"] = min(math.ceil(SPARE_STEPS * plan.predicted.steps), useful_steps)
        keys["minutes"] = planned.minutes
    return make_config(keys | choose_planned_dropouts(make_config(keys), plan))
