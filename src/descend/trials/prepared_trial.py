"""A trial made ready: its text prepared, its open keys filled; all but the network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from descend.config import RunConfig, make_config
from descend.errors import ConfigError
from descend.machine import Execution, available_cores, cpu_instructions, cpu_name, resolve_device
from descend.runs.model_files import load_model
from descend.training.assembly import (
    RunAssembly,
    check_has_validation,
    choose_shape,
    gather_step_inputs,
    tokenize_corpus,
)
from descend.training.execution.backends import supports_cuda_graphs
from descend.training.recipe import count_total_steps
from descend.trials.subsample import subsample_tokens
from descend.trials.trial_spec import TrialSpec


@dataclass(frozen=True, kw_only=True)
class PreparedTrial(RunAssembly):
    """A trial with its text and its network, ready for the first step."""

    spec: TrialSpec

    @property
    def steps(self) -> int:
        """Updates that the schedule spans."""
        return self.spec.steps or count_total_steps(self.config, self.batches)

    @property
    def last_step(self) -> int:
        """Updates to make."""
        return min(self.steps, self.spec.stop_step or self.steps)


def prepare_trial(spec: TrialSpec) -> PreparedTrial:
    """Read, split and tokenize the text of `spec`, all of it cached; choose what was left open."""
    requested_config = make_config(spec.config | {"divergence_rollback": "off"})
    parent = load_model(Path(spec.parent), "cpu") if spec.parent else None
    store = tokenize_corpus(requested_config, parent.tokenizer if parent else None)
    check_has_validation(store)
    shape = choose_shape(requested_config, store, parent)
    if requested_config.seq_len > shape.max_seq_len:
        raise ConfigError(
            "seq_len",
            str(requested_config.seq_len),
            f"at most {shape.max_seq_len}, the model's max_seq_len",
            "lower seq_len",
        )
    execution = trial_execution(requested_config)
    usable = subsample_tokens(store.train, spec.train_fraction)
    network = parent.model if parent else None
    inputs = gather_step_inputs(
        requested_config, store, shape, network, tokens=usable, steps=spec.steps
    )
    return PreparedTrial(
        inputs.config, shape, inputs.batches, inputs.build_model, network,
        requested=requested_config, store=store, execution=execution, spec=spec,
    )  # fmt: skip


def trial_execution(config: RunConfig) -> Execution:
    """Return how every trial of this configuration computes: nothing is tried, so that two are
    alike, and several at a time take a thread each; compiling would take longer than most of
    them."""
    device = resolve_device(config.device)
    return Execution(
        device=device,
        precision="float32" if config.precision == "auto" else config.precision,
        attention="fused" if config.attention == "auto" else config.attention,
        threads=1 if device == "cpu" else available_cores(),
        torch=str(torch.__version__),
        processor=cpu_name(),
        cuda_graph=supports_cuda_graphs(config, device),
        instructions=cpu_instructions(),
    )
