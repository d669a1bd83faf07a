"""A trial made ready: its text prepared, its open keys filled; all but the network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from descend.config import RunConfig, make_config
from descend.data.batches import BatchSampler
from descend.data.token_store import TokenStore, prepare_documents, prepare_tokens
from descend.errors import ConfigError
from descend.machine import Execution, available_cores, cpu_name, resolve_device
from descend.model.shape import ModelShape, shape_from_run_config
from descend.runs.model_files import LoadedModel, load_model
from descend.training.execution.backends import supports_cuda_graphs
from descend.training.recipe import count_total_steps
from descend.training.training_run import (
    check_has_validation,
    fill_open_keys,
    load_or_train_tokenizer,
)
from descend.trials.subsample import subsample_tokens
from descend.trials.trial_spec import TrialSpec


@dataclass(frozen=True)
class PreparedTrial:
    """An arm with its text prepared: all but the network."""

    spec: TrialSpec
    config: RunConfig
    """With every open key chosen."""
    store: TokenStore
    batches: BatchSampler
    shape: ModelShape
    execution: Execution
    parent: LoadedModel | None

    @property
    def steps(self) -> int:
        """Updates that the schedule spans."""
        return self.spec.steps or count_total_steps(self.config, self.batches)

    @property
    def last_step(self) -> int:
        """Updates to make."""
        return min(self.steps, self.spec.stop_step or self.steps)


def prepare_trial(spec: TrialSpec) -> PreparedTrial:
    """Read, split and tokenize the text of `arm`, all of it cached; choose what was left open."""
    requested_config = make_config(spec.config | {"divergence_rollback": "off"})
    parent = load_model(Path(spec.parent), "cpu") if spec.parent else None
    text = prepare_documents(requested_config)
    tokenizer = parent.tokenizer if parent else load_or_train_tokenizer(requested_config, text)
    store = prepare_tokens(text, tokenizer)
    check_has_validation(store)
    usable = subsample_tokens(store.train, spec.train_fraction)
    batches = BatchSampler(
        usable, requested_config.seq_len, requested_config.batch_size, requested_config.seed
    )
    shape = (
        parent.model.shape
        if parent
        else shape_from_run_config(requested_config, tokenizer.vocab_size)
    )
    if requested_config.seq_len > shape.max_seq_len:
        raise ConfigError(
            "seq_len",
            str(requested_config.seq_len),
            f"at most {shape.max_seq_len}, the model's max_seq_len",
            "lower seq_len",
        )
    config = fill_open_keys(requested_config, text, store, batches, spec.steps)
    return PreparedTrial(
        spec, config, store, batches, shape, trial_execution(requested_config), parent
    )


def trial_execution(config: RunConfig) -> Execution:
    """How every trial of this configuration computes: nothing is tried, so that two are alike, and
    several at a time take a thread each; compiling would take longer than most of them."""
    device = resolve_device(config.device)
    return Execution(
        device=device,
        precision="float32" if config.precision == "auto" else config.precision,
        attention="fused" if config.attention == "auto" else config.attention,
        threads=1 if device == "cpu" else available_cores(),
        torch=str(torch.__version__),
        processor=cpu_name(),
        cuda_graph=supports_cuda_graphs(config, device),
    )
