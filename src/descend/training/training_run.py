"""From a configuration to a run that is ready to take its first step, or its next."""

from __future__ import annotations

import datetime
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch

from descend.config import RunConfig, make_config
from descend.config_sources import describe_source, resolve_config
from descend.data.batches import BatchSampler
from descend.data.builtin_corpora import BUILTIN_CORPORA as EMBEDDED_CORPORA
from descend.data.cache_dir import check_path, remember_path
from descend.data.token_store import (
    PreparedCorpus,
    ProgressCallback,
    TokenStore,
    ignore_progress,
    prepare_documents,
    prepare_tokenizer,
    prepare_tokens,
)
from descend.data.tokenizer import Tokenizer, load_tokenizer
from descend.errors import ConfigError, CorpusError, RunFolderError
from descend.machine import Execution, describe_hardware, resolve_device
from descend.metrics.evaluation import Evaluation, evaluate
from descend.model.initialization import initialize
from descend.model.shape import ModelShape, shape_from_run_config
from descend.model.transformer import Transformer
from descend.runs.events import Epoch, Overfitting, Rollback, Step
from descend.runs.model_files import load_model
from descend.runs.run_folder import (
    TOKENIZER,
    RunMetadata,
    is_finished,
    read_events,
    read_info,
    read_summary,
    relative_working_dir,
)
from descend.runs.suggestions import has_diverged, lacks_model, suggest_fix
from descend.training.checkpoint import load_checkpoint
from descend.training.choices import describe_choices
from descend.training.execution.autotune import TuningResult, autotune_execution
from descend.training.execution.backends import resolve_training_device
from descend.training.execution.precision import autocast_precision, make_grad_scaler
from descend.training.explosion import loss_of_explosion
from descend.training.loop import TrainPlan
from descend.training.loss import can_compile, prefetch_compiler_info
from descend.training.lr_schedule import make_lr_schedule
from descend.training.memory import (
    check_memory,
    fit_micro_batches_to_memory,
    translate_memory_errors,
    with_smaller_micro_batches,
)
from descend.training.optimizers import make_optimizers
from descend.training.recipe import (
    choose_epochs,
    choose_token_dropout,
    choose_vocabulary,
    choose_warmup,
    count_total_steps,
    shorten_context_for,
)
from descend.training.resumption import check_tokens, choose_checkpoint, list_differences
from descend.training.self_check import run_self_check
from descend.training.time_limit import describe_resumed_clock, make_time_limit, seconds_left
from descend.training.train_state import TrainState
from descend.units import quoted
from descend.version import __version__

MAX_VALIDATION_TOKENS = 2**17
"""Held-out tokens that each epoch is judged on: enough for a standard error near 0.01 nat."""


@dataclass(frozen=True)
class TrainingRun:
    """A run that is ready: what it follows, what it starts from, and what to say beforehand."""

    folder: Path
    info: RunMetadata
    shape: ModelShape
    store: TokenStore
    plan: TrainPlan
    state: TrainState
    tuning: TuningResult | None
    previous_epochs: tuple[Epoch, ...]
    """Epochs of earlier sittings, where the run is resumed."""
    previous_rollbacks: tuple[Rollback, ...]
    warnings: tuple[str, ...]
    """Sentences for the user: what was chosen, what was found, what will differ."""
    overfitting_before: Overfitting | None = None
    """What was told of it in earlier sittings."""
    checkpoint: Path | None = None
    """Where a run is resumed from; None for a new one."""
    estimated_step_seconds: float | None = None
    """What the middle step of the earlier sittings took, where the run is resumed."""

    @property
    def free_length(self) -> bool:
        """Whether the user did not say how long to train, so that the run may end sooner."""
        return (
            self.info.requested_config["epoch"] is None
            and self.info.requested_config["max_steps"] is None
        )


def create_run(
    config: RunConfig,
    folder: Path,
    *,
    preset: str = "fast",
    parent: Path | None = None,
    progress: ProgressCallback = ignore_progress,
    ends: float | None = None,
) -> TrainingRun:
    """A run from the start, or with `parent` one that trains its model further.

    `ends`: when a run with `minutes` has to be saved, by `time.perf_counter`.
    """
    device = resolve_training_device(
        config
    )  # what cannot be is refused before a large text is read
    loaded = load_model(parent, "cpu") if parent else None
    text = prepare_documents(config, progress, anew=True)
    tokenizer = loaded.tokenizer if loaded else load_or_train_tokenizer(config, text, progress)
    store = prepare_tokens(text, tokenizer, progress)
    requested_config, config = config, shorten_context_for(config, len(store.train))
    batches = BatchSampler(store.train, config.seq_len, config.batch_size, config.seed)
    check_has_validation(store)
    shape = loaded.model.shape if loaded else shape_from_run_config(config, tokenizer.vocab_size)
    fitted = fit_micro_batches_to_memory(config, shape, device)
    check_memory(fitted, shape, device)
    resolved = fill_open_keys(fitted, text, store, batches)
    progress("trying this machine", 0.0)
    with translate_memory_errors(config, shape):
        is_automatic = config.gradient_accumulation_steps is None
        seconds = seconds_left(resolved, ends)
        resolved, choice = _tune_within_memory(resolved, shape, batches, is_automatic, seconds)
    plan = make_train_plan(
        resolved, choice.execution, store, batches, ends=ends, continued=bool(parent)
    )
    model = Transformer(shape, config.dropout_rate, choice.execution.attention)
    initialize(model, config.seed)
    if loaded:
        model.load_state_dict(loaded.model.state_dict())
    info = RunMetadata(
        version=__version__,
        saved_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        preset=preset,
        requested_config=config.model_dump(mode="json"),
        resolved_config=resolved.model_dump(mode="json"),
        execution=msgspec.to_builtins(choice.execution),
        corpus=msgspec.to_builtins(store.info),
        hardware=describe_hardware(choice.execution.device),
        parent=str(parent) if parent else None,
        parent_loss=_loss_of(parent, resolved, store) if parent else None,
        working_dir=relative_working_dir(folder),
    )
    state = initial_train_state(model, resolved, choice.execution)
    read = dict(loaded.model.named_parameters()) if loaded else None
    run_self_check(state, plan, tokenizer.vocab_size, read)
    warnings = describe_choices(config, resolved, store, choice, own_tokens=loaded is None)
    if config.seq_len != requested_config.seq_len:
        few = f"{len(store.train)} tokens of text to train on: seq_len = {config.seq_len}"
        warnings = (f"{few} instead of {requested_config.seq_len}", *warnings)
    return TrainingRun(folder, info, shape, store, plan, state, choice, (), (), warnings)


def _tune_within_memory(
    resolved: RunConfig,
    shape: ModelShape,
    batches: BatchSampler,
    is_automatic: bool,
    seconds: float,
) -> tuple[RunConfig, TuningResult]:
    """How to compute, and `resolved` with the batch in as many parts as the device has memory for,
    if that was left open: a GPU tells only when it is tried."""
    while True:
        try:
            steps = count_total_steps(resolved, batches)
            return resolved, autotune_execution(resolved, shape, batches, steps, seconds)
        except torch.OutOfMemoryError:
            more = with_smaller_micro_batches(resolved) if is_automatic else None
            if more is None:
                raise
            resolved = more


def resume_run(
    folder: Path, progress: ProgressCallback = ignore_progress, ends: float | None = None
) -> TrainingRun:
    """The interrupted run in `folder`, to be taken up after its newest whole checkpoint."""
    info = read_info(folder)
    if has_diverged(folder):
        raise RunFolderError(
            str(folder), "a run that diverged, and would again at the same step",
            "one that was interrupted", suggest_fix(folder),
        )  # fmt: skip
    if is_finished(folder) and not lacks_model(folder):
        raise RunFolderError(
            str(folder), "a run that is finished", "one that was interrupted",
            f"train its model further with `descend continue {quoted(folder)}`",
        )  # fmt: skip
    checkpoint, damage = choose_checkpoint(folder)
    resolved = make_config(info.resolved_config)
    execution = msgspec.convert(info.execution, Execution)
    resolve_device(execution.device)
    differences = list_differences(execution) + describe_resumed_clock(resolved)
    if execution.compiled and not can_compile(execution.device):
        execution = msgspec.structs.replace(execution, compiled=False)
    check_path(resolved.corpus_dir, folder, EMBEDDED_CORPORA)
    text = prepare_documents(resolved, progress)
    if text.documents.sha256 != info.corpus["corpus_sha256"]:
        raise CorpusError(
            str(resolved.corpus_dir or "corpus_dir"), "a text that changed since the run began",
            "the same text, to go on exactly where it stopped",
            "restore the text, or "
            + (
                f"train again with `descend train --from-run {quoted(folder)}`"
                if lacks_model(folder)
                else f"train the model further with `descend continue {quoted(folder)}`"
            ),
        )  # fmt: skip
    tokenizer = load_tokenizer(folder / TOKENIZER)
    store = prepare_tokens(text, tokenizer, progress)
    check_tokens(folder, info, store)
    batches = BatchSampler(store.train, resolved.seq_len, resolved.batch_size, resolved.seed)
    shape = shape_from_run_config(resolved, tokenizer.vocab_size)
    model = Transformer(shape, resolved.dropout_rate, execution.attention)
    state = initial_train_state(model, resolved, execution)
    read = load_checkpoint(checkpoint, state)
    plan = make_train_plan(
        resolved, execution, store, batches, ends=ends, resumed=state, continued=bool(info.parent)
    )
    run_self_check(state, plan, tokenizer.vocab_size, read)
    warnings = (
        f"continuing from step {state.step:,} of {plan.total_steps:,}", *damage, *differences,
    )  # fmt: skip
    before = read_events(folder, until=state.step)
    epochs = tuple(r for r in before if isinstance(r, Epoch))
    rollbacks = tuple(r for r in before if isinstance(r, Rollback))
    took = [r.seconds for r in before if isinstance(r, Step)]
    middle = statistics.median(took) if took else None
    rose = next((r for r in before if isinstance(r, Overfitting)), None)
    return TrainingRun(
        folder, info, shape, store, plan, state, None, epochs, rollbacks, warnings, rose,
        checkpoint, middle,
    )  # fmt: skip


def continuation_config(
    parent: Path, changes: dict[str, Any], file: Path | None = None
) -> RunConfig:
    """The configuration of a run that trains `parent` further with `changes` and those of `file`
    and of the environment.

    What fixes the network or its vocabulary cannot change.
    """
    fixed = ("architecture", "embed_dim", "num_heads", "num_layers", "ff_dim", "max_seq_len",
             "tokenizer", "vocab_size", "vocab_path")  # fmt: skip
    info = read_info(parent)
    resolved = resolve_config(changes, file=file, run=(parent, inherited_config(info)))
    for key in fixed:
        # A small text may yield fewer tokens than were asked for: either number means the same.
        same = (info.resolved_config[key], info.requested_config[key])
        value = getattr(resolved.config, key)
        if value not in same:
            raise ConfigError(
                describe_source(key, resolved.origins[key]), str(value),
                f"{info.resolved_config[key]} as in the model {parent}",
                "leave it out, or train a new model with `descend train`",
            )  # fmt: skip
    if resolved.origins["corpus_dir"].startswith("run "):
        check_path(resolved.config.corpus_dir, parent, EMBEDDED_CORPORA)
    return resolved.config


def inherited_config(info: RunMetadata) -> dict[str, Any]:
    """The settings that a run which goes on from another starts with.

    `epoch` counts anew, and where the parent ended by `max_steps` does not matter any more.
    """
    excluded_keys = ("save_dir", "warmup_steps", "max_steps")
    inherited = {k: v for k, v in info.requested_config.items() if k not in excluded_keys}
    return inherited | {"corpus_dir": info.resolved_config["corpus_dir"]}


def load_or_train_tokenizer(
    config: RunConfig, text: PreparedCorpus, progress: ProgressCallback = ignore_progress
) -> Tokenizer:
    """The tokenizer that `config` names, or one trained on `text`."""
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
    """`CorpusError` if there is no held-out text to judge a model on."""
    if len(store.validation) < 2:
        raise CorpusError(
            "corpus_dir", "less than two tokens of held-out text", "enough to judge the model on",
            "add text or raise validation_fraction",
        )  # fmt: skip


def fill_open_keys(
    config: RunConfig,
    text: PreparedCorpus,
    store: TokenStore,
    batches: BatchSampler,
    steps: int | None = None,
) -> RunConfig:
    """`config` with every open key that decides the result filled in.

    With `steps`, else with `max_steps`, the run is that long, whatever `epoch` says. Text that
    came as a stream is named by its copy: a stream cannot be read again on resume.
    """
    steps = steps or config.max_steps
    if steps is None:
        epochs = choose_epochs(config, len(batches.tokens))
        steps = batches.steps(epochs)
    else:
        epochs = batches.epoch_at_step(steps - 1)
    filled = {
        "corpus_dir": str(text.source.paths[0])
        if text.source.is_stream_copy
        else config.corpus_dir or "python",
        "vocab_size": store.tokenizer.vocab_size,
        "epoch": epochs,
        "warmup_steps": choose_warmup(config, steps),
        "token_dropout": choose_token_dropout(config, epochs),
        "gradient_accumulation_steps": config.num_micro_batches,
    }
    return make_config(config.model_dump() | filled)


def make_train_plan(
    resolved: RunConfig,
    execution: Execution,
    store: TokenStore,
    batches: BatchSampler,
    steps: int | None = None,
    *,
    ends: float | None = None,
    resumed: TrainState | None = None,
    continued: bool = False,
) -> TrainPlan:
    """The way of a run to its end, or to that of `steps`; each epoch is judged.

    `ends` and `resumed`: see `make_time_limit`. `continued`: it trains a finished model further.
    """
    assert resolved.epoch is not None
    assert resolved.warmup_steps is not None

    def evaluate_epoch(model: Transformer) -> Evaluation:
        with autocast_precision(execution):
            return evaluate(
                model,
                store.validation,
                store.tokenizer.byte_lengths,
                resolved.seq_len,
                max_windows=max(1, MAX_VALIDATION_TOKENS // resolved.seq_len),
            )

    steps = steps or count_total_steps(resolved, batches)
    rate = make_lr_schedule(resolved, resolved.warmup_steps, steps, batches.epoch_at_step)
    diverged_above = loss_of_explosion(store.tokenizer.vocab_size, continued)
    tokens = min(len(store.validation), MAX_VALIDATION_TOKENS)
    limit = make_time_limit(resolved, tokens, ends, resumed)
    return TrainPlan(
        resolved, execution, batches, resolved.epoch, steps, rate, evaluate_epoch, diverged_above,
        limit,
    )  # fmt: skip


def initial_train_state(model: Transformer, config: RunConfig, execution: Execution) -> TrainState:
    """`model` before its first step, where and as it will compute."""
    model.to(execution.device)
    model.train()
    model.checkpoint_activations = config.activation_checkpointing
    model.token_dropout = config.token_dropout or 0.0
    optimizers = make_optimizers(model, config, execution)
    if execution.compiled:
        prefetch_compiler_info()
    return TrainState(model, optimizers, make_grad_scaler(execution))


def _loss_of(parent: Path, resolved: RunConfig, store: TokenStore) -> float | None:
    """Validation loss of `parent`; None if it was judged on other text, or with another context."""
    info = read_info(parent)
    same_text = info.corpus["corpus_sha256"] == store.info.corpus_sha256
    evaluation_keys = ("seed", "validation_fraction", "seq_len")
    if not same_text or any(
        info.resolved_config[k] != getattr(resolved, k) for k in evaluation_keys
    ):
        return None
    return read_summary(parent).validation_loss
