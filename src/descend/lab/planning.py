"""A plan from start to end: look at the text, time the machine, choose; and carry it out."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from descend.config import RunConfig, make_config
from descend.errors import ConfigError
from descend.lab.outlook import learned_outlook
from descend.lab.plan import Plan, Prediction, make_plan, minutes_for
from descend.lab.probe import Machine, as_training_will, measure_machine
from descend.lab.rates import Rates
from descend.lab.sample import sample_corpus
from descend.machine import memory_available
from descend.text.store import prepare_text
from descend.training.engine import COMPILE_SECONDS, HOPED_SAVING
from descend.training.recipe import choose_blank_rate

GIGABYTE = 1e9


class Planned(msgspec.Struct, frozen=True):
    """A plan for a text on this machine."""

    corpus: str
    machine: Machine
    plan: Plan

    def as_json(self) -> dict[str, Any]:
        """For `--json`: config, what is predicted, and what both rest on."""
        plan = msgspec.to_builtins(self.plan, str_keys=True)
        machine = msgspec.to_builtins(self.machine)
        found: dict[str, Any] = {"corpus": self.corpus} | plan | {"machine": machine}
        return found


def plan_for(
    corpus: str | None, minutes: float | None, target_loss: float | None = None,
    max_memory: float | None = None,
) -> Planned:  # fmt: skip
    """The plan for `corpus`: for so many minutes, or (if None) for so many bits per byte.

    `max_memory` in GB. Raises `ConfigError` for bounds that cannot be met, `CorpusError` for a text
    that cannot be used.
    """
    if minutes is None and target_loss is None:
        raise ConfigError("minutes", "neither minutes nor a target", "one of them", "give one")
    # What needs no look at text or machine is refused at once.
    check_bounds(minutes, target_loss, max_memory)
    text = prepare_text(RunConfig(corpus_dir=corpus))
    sample = sample_corpus(text)
    machine = measure_machine()
    memory = None if max_memory is None else int(max_memory * GIGABYTE)

    def planned(rates: Rates) -> Plan:
        rest = (sample, rates, learned_outlook())
        if target_loss is not None:
            return minutes_for(target_loss, *rest, memory)
        assert minutes is not None
        return make_plan(*rest, minutes, memory)

    plan = planned(machine.rates)
    if _worth_timing(plan.predicted):
        steps, each = plan.predicted.steps, plan.predicted.seconds_per_step
        machine = as_training_will(machine, _resolved(plan), steps, each)
        plan = planned(machine.rates)
    return Planned(corpus or "python", machine, plan)


LONG_ENOUGH = COMPILE_SECONDS / HOPED_SAVING
"""Seconds of a run from which training may compile: then the planned network itself is timed."""
QUICK = 2.0
"""Seconds of a step up to which that is done: a dozen are made, and compiling adds to them."""
ROOM = 0.5
"""Of the memory that is free, that it may take."""


def _worth_timing(found: Prediction) -> bool:
    """Whether the planned network should be timed itself before the plan is final."""
    free = memory_available()
    room = free is None or found.memory_bytes <= ROOM * free
    return found.seconds >= LONG_ENOUGH and found.seconds_per_step <= QUICK and room


def _resolved(plan: Plan) -> RunConfig:
    """The configuration of the planned run as training resolves it, so far as it bears on time."""
    config = make_config(plan.config)
    passes = math.ceil(plan.predicted.passes)
    open_keys = {"blank_rate": choose_blank_rate(config, passes), "gradient_accumulation": 1}
    return make_config(plan.config | open_keys)


def check_bounds(
    minutes: float | None, target_loss: float | None, max_memory: float | None
) -> None:
    """`ConfigError` for a time, a loss or a memory that is not above zero."""
    given = {"minutes": minutes, "target_loss": target_loss, "max_memory": max_memory}
    for name, value in given.items():
        if value is not None and not 0 < value < float("inf"):
            raise ConfigError(name, f"{value:g}", "a number above 0", "choose one above 0")


def config_of(planned: Planned, save_dir: str | None) -> RunConfig:
    """The planned run as a configuration."""
    return make_config(planned.plan.config | {"corpus_dir": planned.corpus, "save_dir": save_dir})
