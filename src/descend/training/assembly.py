"""From a configuration to all that its training needs, handed down as one frozen object.

Text, tokenizer, tokens, batches, shape, network and execution come together here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from descend.config import RunConfig, make_config
from descend.data.batches import BatchSampler
from descend.data.bpe_dropout import make_bpe_dropout
from descend.data.cache_dir import remember_path
from descend.data.prepare import prepare_documents, prepare_tokenizer, prepare_tokens
from descend.data.token_store import PreparedCorpus, TokenStore
from descend.data.tokenizer import Tokenizer, load_tokenizer
from descend.errors import ConfigError, CorpusError
from descend.machine import Execution
from descend.model.shape import ModelShape, NetworkDetails, shape_from_run_config
from descend.model.transformer import Transformer
from descend.progress import ProgressCallback, ignore_progress
from descend.runs.model_files import LoadedModel, load_model
from descend.runs.run_files import RunMetadata
from descend.training.execution.autotune import autotune_execution
from descend.training.execution.backends import choose_sharded_execution, resolve_training_device
from descend.training.execution.candidate_timing import TuningResult
from descend.training.lora_adapters import load_frozen_parent
from descend.training.memory import (
    check_memory,
    choose_lora_rank,
    choose_sharding,
    fit_micro_batches_to_memory,
    translate_memory_errors,
    with_smaller_micro_batches,
)
from descend.training.num_processes import choose_num_processes
from descend.training.recipe import (
    choose_batch_size,
    choose_dropouts,
    choose_epochs,
    choose_vocabulary,
    choose_warmup,
    count_total_steps,
    shorten_context_for,
)
from descend.training.step_inputs import StepInputs, make_step_inputs
from descend.training.time_limit import seconds_left

PreparedCallback = Callable[[RunConfig, TokenStore, ModelShape], None]
"""Receives the text and the network of a run before this machine is timed, which takes a while."""


@dataclass(frozen=True, kw_only=True)
class RunAssembly(StepInputs):
    """All that the training of a configuration needs; `config` has every open key filled in."""

    requested: RunConfig
    """As requested, before anything left open was chosen but a context that fits the text."""
    store: TokenStore
    """The text as tokens, with its tokenizer."""
    execution: Execution
    tuning: TuningResult | None = None
    """What was timed to choose `execution`; None where nothing was."""
    too_long_context: int | None = None
    """The default `seq_len`, where the text is too short for it and another was chosen."""
    chosen_batch_size: int | None = None
    """The `batch_size` that the size of the text decided; None where it is requested or default."""


def assemble_run(
    config: RunConfig,
    parent: Path | None = None,
    progress: ProgressCallback = ignore_progress,
    ends: float | None = None,
    on_prepared: PreparedCallback | None = None,
) -> RunAssembly:
    """Assemble what the training of `config`, or of `parent` further, needs on this machine.

    `ends`: when a run with `minutes` has to be saved, by `time.perf_counter`.
    """
    device = resolve_training_device(config)  # refused before a large text is read
    num_processes = choose_num_processes(config)
    loaded = load_model(parent, "cpu") if parent else None
    tokenizer = loaded.tokenizer if loaded else None
    store = tokenize_corpus(config, tokenizer, begin=True, progress=progress)
    short = shorten_context_for(config, len(store.train)) if parent else _fit_to(config, store)
    check_has_validation(store)
    shape = choose_shape(short, store, loaded)
    shared = short.model_copy(update={"num_processes": num_processes})
    ranked = choose_lora_rank(shared, shape, device, has_parent=loaded is not None)
    is_sharded = choose_sharding(ranked, shape, device)
    fitted = fit_micro_batches_to_memory(ranked, shape, device, is_sharded=is_sharded)
    check_memory(fitted, shape, device, is_sharded=is_sharded)
    if on_prepared:
        on_prepared(fitted, store, shape)
    progress("measuring the speed of this computer", 0.0)
    with translate_memory_errors(short, shape):
        inputs = gather_step_inputs(fitted, store, shape, loaded.model if loaded else None)
        is_automatic = config.gradient_accumulation_steps is None
        tuning = None
        if is_sharded:
            execution = choose_sharded_execution(fitted, device)
        else:
            inputs, tuning = _tune_within_memory(inputs, is_automatic, seconds_left(config, ends))
            execution = tuning.execution
    return RunAssembly(
        inputs.config,
        shape,
        inputs.batches,
        inputs.build_model,
        requested=short,
        store=store,
        execution=execution,
        tuning=tuning,
        parent=inputs.parent,
        too_long_context=config.seq_len if short.seq_len != config.seq_len else None,
        chosen_batch_size=short.batch_size if short.batch_size != config.batch_size else None,
    )


def shard_as_needed(assembly: RunAssembly) -> RunAssembly:
    """Return `assembly` of a resumed run with its weights divided, or not, as memory asks for now:
    there may be another number of processes."""
    execution = assembly.execution
    is_sharded = choose_sharding(assembly.config, assembly.shape, execution.device)
    if is_sharded:
        check_memory(assembly.config, assembly.shape, execution.device, is_sharded=True)
    changed = msgspec.structs.replace(
        execution, sharded=is_sharded, compiled=execution.compiled and not is_sharded
    )
    return replace(assembly, execution=changed)


def fit_to_text(config: RunConfig) -> RunConfig:
    """Return `config` with the batch size and the context that `train` chooses for its text, where
    neither was requested. Trials take a configuration as it is, so they need this first."""
    if {"batch_size", "seq_len"} <= config.model_fields_set:
        return config
    return _fit_to(config, tokenize_corpus(config))


def _fit_to(config: RunConfig, store: TokenStore) -> RunConfig:
    short = shorten_context_for(config, len(store.train))
    return choose_batch_size(short, store.info.train_bytes)


def tokenize_corpus(
    config: RunConfig,
    tokenizer: Tokenizer | None = None,
    *,
    begin: bool = False,
    progress: ProgressCallback = ignore_progress,
) -> TokenStore:
    """Read the corpus of `config` as tokens of `tokenizer`, or of the one that `config` asks for.

    `begin`: a run begins on it, so that files that could not be read are tried again
    (`prepare_documents`).
    """
    text = prepare_documents(config, progress, anew=begin)
    return prepare_tokens(
        text, tokenizer or load_or_train_tokenizer(config, text, progress), progress
    )


def choose_shape(
    config: RunConfig,
    store: TokenStore,
    parent: LoadedModel | None,
    details: NetworkDetails | None = None,
) -> ModelShape:
    """Return the shape of `parent`, or of a network for the tokens of `store`.

    `details`: those that a run recorded of a network from another program.
    """
    if parent:
        return parent.model.shape
    if config.architecture == "llama" and details is None:
        raise ConfigError(
            "architecture", "llama for a new model", "gpt or modern",
            "choose one of them, or train a Llama model further with `descend continue`",
        )  # fmt: skip
    return shape_from_run_config(config, store.tokenizer.vocab_size, details)


def gather_step_inputs(
    config: RunConfig,
    store: TokenStore,
    shape: ModelShape,
    parent: Transformer | None = None,
    *,
    tokens: NDArray[np.unsignedinteger] | None = None,
    steps: int | None = None,
) -> StepInputs:
    """Fill in the open keys of `config` and plan its batches.

    `parent`: the network that is trained further. `tokens`: those to train on; None: all of
    `store`. `steps`: see `fill_open_keys`.
    """
    train = store.train if tokens is None else tokens
    plain = BatchSampler(train, config.seq_len, config.batch_size, config.seed)
    resolved = fill_open_keys(config, store, plain, steps)
    return make_step_inputs(resolved, shape, plan_batches(resolved, store, train), parent)


def plan_batches(
    config: RunConfig, store: TokenStore, tokens: NDArray[np.unsignedinteger] | None = None
) -> BatchSampler:
    """Plan the batches of the resolved `config`; `tokens`: as for `gather_step_inputs`."""
    train = store.train if tokens is None else tokens
    bpe_dropout = make_bpe_dropout(store.tokenizer, config.bpe_dropout)
    return BatchSampler(train, config.seq_len, config.batch_size, config.seed, bpe_dropout)


def restore_assembly(
    info: RunMetadata, store: TokenStore, shape: ModelShape, execution: Execution
) -> RunAssembly:
    """Assemble the run of `info` again from its text: nothing of it is chosen anew.

    `RunFolderError` for adapters whose model is gone or is another one.
    """
    config = make_config(info.resolved_config)
    batches = plan_batches(config, store)
    inputs = make_step_inputs(config, shape, batches, load_frozen_parent(info))
    return RunAssembly(
        config, shape, batches, inputs.build_model, inputs.parent,
        requested=make_config(info.requested_config), store=store, execution=execution,
    )  # fmt: skip


def _tune_within_memory(
    inputs: StepInputs, is_automatic: bool, seconds: float
) -> tuple[StepInputs, TuningResult]:
    """Return how to compute, and `inputs` with the batch in as many parts as the device has memory
    for, if that was left open: a GPU tells only when it is tried."""
    while True:
        try:
            steps = count_total_steps(inputs.config, inputs.batches)
            return inputs, autotune_execution(inputs, steps, seconds)
        except torch.OutOfMemoryError:
            more = with_smaller_micro_batches(inputs.config) if is_automatic else None
            if more is None:
                raise
            inputs = replace(inputs, config=more)


def load_or_train_tokenizer(
    config: RunConfig, text: PreparedCorpus, progress: ProgressCallback = ignore_progress
) -> Tokenizer:
    """Return the tokenizer that `config` names, or one trained on `text`."""
    if config.vocab_path:
        return _load_requested_tokenizer(config)
    vocab_size = choose_vocabulary(config, text.train_bytes)
    return prepare_tokenizer(text, config.tokenizer, vocab_size, progress)


def _load_requested_tokenizer(config: RunConfig) -> Tokenizer:
    assert config.vocab_path
    remember_path(config.vocab_path)
    tokenizer = load_tokenizer(Path(config.vocab_path))
    if config.vocab_size not in (None, tokenizer.vocab_size):
        raise ConfigError(
            "vocab_size", str(config.vocab_size),
            f"{tokenizer.vocab_size}, the size of {config.vocab_path}",
            "leave vocab_size out when vocab_path is given",
        )  # fmt: skip
    return tokenizer


def check_has_validation(store: TokenStore) -> None:
    """Raise `CorpusError` if there is no validation text to judge a model on."""
    if len(store.validation) < 2:
        raise CorpusError(
            "corpus_dir", "less than two tokens of validation text", "enough to evaluate the model",
            "add text or raise validation_fraction",
        )  # fmt: skip


def fill_open_keys(
    config: RunConfig, store: TokenStore, batches: BatchSampler, steps: int | None = None
) -> RunConfig:
    """Return `config` with every open key that decides the result filled in.

    With `steps`, else with `max_steps`, the run is that long, whatever `epoch` says. Text that
    came as a stream is named by its copy: a stream cannot be read again on resume.
    """
    steps = steps or config.max_steps
    if steps is None:
        epochs = choose_epochs(config, len(batches.tokens))
        steps = batches.steps(epochs)
    else:
        epochs = batches.epoch_at_step(steps - 1)
    source = store.text.source
    filled = {
        "corpus_dir": str(source.paths[0])
        if source.is_stream_copy
        else config.corpus_dir or "python",
        "vocab_size": store.tokenizer.vocab_size,
        "epoch": epochs,
        "warmup_steps": choose_warmup(config, steps),
        "gradient_accumulation_steps": config.num_micro_batches,
    } | choose_dropouts(config, epochs, len(batches.tokens))
    return make_config(config.model_dump() | filled)
