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
from descend.errors import ConfigError, CorpusError, RunFolderError
from descend.machine import Execution, hardware, pick_device
from descend.model.initialize import initialize
from descend.model.shape import ModelShape, shape_of
from descend.model.transformer import Transformer
from descend.runs.folder import (
    TOKENIZER,
    RunInfo,
    is_finished,
    read_events,
    read_info,
    read_summary,
    seen_from,
)
from descend.runs.model_files import load_model
from descend.runs.records import Epoch, Overfitting, Rescue, Step
from descend.runs.suggestions import has_diverged, lacks_model, suggest_fix
from descend.settings import gather_settings, place_of
from descend.signals.evaluate import Evaluation, evaluate
from descend.text.batches import BatchPlan
from descend.text.cache import check_path, remember_path
from descend.text.embedded import NAMES as EMBEDDED_CORPORA
from descend.text.store import (
    PreparedText,
    Progress,
    TokenStore,
    no_progress,
    prepare_text,
    prepare_tokenizer,
    prepare_tokens,
)
from descend.text.tokenizer import Tokenizer, load_tokenizer
from descend.training.checkpoint import load_checkpoint
from descend.training.choices import describe_choices
from descend.training.engine import Choice, choose_execution
from descend.training.explosion import loss_of_explosion
from descend.training.loop import Course
from descend.training.memory import check_memory, fitting, in_more_parts, memory_errors
from descend.training.objective import can_compile, look_at_compiler
from descend.training.optimizer import make_optimizers
from descend.training.precision import compute_in, make_scaler
from descend.training.preflight import preflight
from descend.training.recipe import (
    choose_blank_rate,
    choose_epochs,
    choose_vocabulary,
    choose_warmup,
    total_steps,
    with_context_for,
)
from descend.training.resumption import check_tokens, choose_checkpoint, list_differences
from descend.training.schedule import learning_rate
from descend.training.state import TrainState
from descend.training.time_limit import make_time_limit, seconds_left
from descend.training.ways import device_for
from descend.units import quoted
from descend.version import __version__

MOST_VALIDATION_TOKENS = 2**17
"""Held-out tokens that each epoch is judged on: enough for a standard error near 0.01 nat."""


@dataclass(frozen=True)
class Job:
    """A run that is ready: what it follows, what it starts from, and what to say beforehand."""

    folder: Path
    info: RunInfo
    shape: ModelShape
    store: TokenStore
    course: Course
    state: TrainState
    choice: Choice | None
    epochs_before: tuple[Epoch, ...]
    """Epochs of earlier sittings, where the run is resumed."""
    rescues_before: tuple[Rescue, ...]
    notes: tuple[str, ...]
    """Sentences for the user: what was chosen, what was found, what will differ."""
    overfitting_before: Overfitting | None = None
    """What was told of it in earlier sittings."""
    checkpoint: Path | None = None
    """Where a run is resumed from; None for a new one."""
    step_seconds: float | None = None
    """What the middle step of the earlier sittings took, where the run is resumed."""

    @property
    def free_length(self) -> bool:
        """Whether the user did not say how long to train, so that the run may end sooner."""
        return self.info.config["epoch"] is None and self.info.config["max_steps"] is None


def new_job(
    config: RunConfig,
    folder: Path,
    *,
    preset: str = "fast",
    parent: Path | None = None,
    progress: Progress = no_progress,
    ends: float | None = None,
) -> Job:
    """A run from the start, or with `parent` one that trains its model further.

    `ends`: when a run with `minutes` has to be saved, by `time.perf_counter`.
    """
    device = device_for(config)  # what cannot be is refused before a large text is read
    loaded = load_model(parent, "cpu") if parent else None
    text = prepare_text(config, progress, anew=True)
    tokenizer = loaded.tokenizer if loaded else tokenizer_for(config, text, progress)
    store = prepare_tokens(text, tokenizer, progress)
    asked, config = config, with_context_for(config, len(store.train))
    batches = BatchPlan(store.train, config.seq_len, config.batch_size, config.seed)
    check_validation(store)
    shape = loaded.model.shape if loaded else shape_of(config, tokenizer.vocab_size)
    fitted = fitting(config, shape, device)
    check_memory(fitted, shape, device)
    resolved = resolve(fitted, text, store, batches)
    progress("trying this machine", 0.0)
    with memory_errors(config, shape):
        left_open = config.gradient_accumulation is None
        seconds = seconds_left(resolved, ends)
        resolved, choice = _choice_that_fits(resolved, shape, batches, left_open, seconds)
    course = course_for(
        resolved, choice.execution, store, batches, ends=ends, continued=bool(parent)
    )
    model = Transformer(shape, config.dropout_rate, choice.execution.attention)
    initialize(model, config.seed)
    if loaded:
        model.load_state_dict(loaded.model.state_dict())
    info = RunInfo(
        version=__version__,
        saved_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        preset=preset,
        config=config.model_dump(mode="json"),
        resolved=resolved.model_dump(mode="json"),
        execution=msgspec.to_builtins(choice.execution),
        corpus=msgspec.to_builtins(store.info),
        hardware=hardware(choice.execution.device),
        parent=str(parent) if parent else None,
        parent_loss=_loss_of(parent, resolved, store) if parent else None,
        started_in=seen_from(folder),
    )
    state = fresh_state(model, resolved, choice.execution)
    read = dict(loaded.model.named_parameters()) if loaded else None
    preflight(state, course, tokenizer.vocab_size, read)
    notes = describe_choices(config, resolved, store, choice, own_tokens=loaded is None)
    if config.seq_len != asked.seq_len:
        few = f"{len(store.train)} tokens of text to train on: seq_len = {config.seq_len}"
        notes = (f"{few} instead of {asked.seq_len}", *notes)
    return Job(folder, info, shape, store, course, state, choice, (), (), notes)


def _choice_that_fits(
    resolved: RunConfig, shape: ModelShape, batches: BatchPlan, left_open: bool, seconds: float
) -> tuple[RunConfig, Choice]:
    """How to compute, and `resolved` with the batch in as many parts as the device has memory for,
    if that was left open: a GPU tells only when it is tried."""
    while True:
        try:
            steps = total_steps(resolved, batches)
            return resolved, choose_execution(resolved, shape, batches, steps, seconds)
        except torch.OutOfMemoryError:
            more = in_more_parts(resolved) if left_open else None
            if more is None:
                raise
            resolved = more


def resumed_job(folder: Path, progress: Progress = no_progress) -> Job:
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
    resolved = make_config(info.resolved)
    execution = msgspec.convert(info.execution, Execution)
    pick_device(execution.device)
    differences = list_differences(execution)
    if execution.compiled and not can_compile(execution.device):
        execution = msgspec.structs.replace(execution, compiled=False)
    check_path(resolved.corpus_dir, folder, EMBEDDED_CORPORA)
    text = prepare_text(resolved, progress)
    if text.spool.sha256 != info.corpus["corpus_sha256"]:
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
    batches = BatchPlan(store.train, resolved.seq_len, resolved.batch_size, resolved.seed)
    shape = shape_of(resolved, tokenizer.vocab_size)
    model = Transformer(shape, resolved.dropout_rate, execution.attention)
    state = fresh_state(model, resolved, execution)
    read = load_checkpoint(checkpoint, state)
    course = course_for(
        resolved, execution, store, batches, seconds_before=state.seconds,
        continued=bool(info.parent),
    )  # fmt: skip
    preflight(state, course, tokenizer.vocab_size, read)
    notes = (
        f"continuing from step {state.step:,} of {course.total_steps:,}", *damage, *differences,
    )  # fmt: skip
    before = read_events(folder, until=state.step)
    epochs = tuple(r for r in before if isinstance(r, Epoch))
    rescues = tuple(r for r in before if isinstance(r, Rescue))
    took = [r.seconds for r in before if isinstance(r, Step)]
    middle = statistics.median(took) if took else None
    rose = next((r for r in before if isinstance(r, Overfitting)), None)
    return Job(
        folder, info, shape, store, course, state, None, epochs, rescues, notes, rose,
        checkpoint, middle,
    )  # fmt: skip


def continued_config(parent: Path, changes: dict[str, Any], file: Path | None = None) -> RunConfig:
    """The configuration of a run that trains `parent` further with `changes` and those of `file`
    and of the environment.

    What fixes the network or its vocabulary cannot change.
    """
    fixed = ("architecture", "embed_dim", "num_heads", "num_layers", "ff_dim", "max_seq_len",
             "tokenizer", "vocab_size", "vocab_path")  # fmt: skip
    info = read_info(parent)
    settings = gather_settings(changes, file=file, run=(parent, inherited(info)))
    for key in fixed:
        # A small text may yield fewer tokens than were asked for: either number means the same.
        same = (info.resolved[key], info.config[key])
        value = getattr(settings.config, key)
        if value not in same:
            raise ConfigError(
                place_of(key, settings.origins[key]), str(value),
                f"{info.resolved[key]} as in the model {parent}",
                "leave it out, or train a new model with `descend train`",
            )  # fmt: skip
    if settings.origins["corpus_dir"].startswith("run "):
        check_path(settings.config.corpus_dir, parent, EMBEDDED_CORPORA)
    return settings.config


def inherited(info: RunInfo) -> dict[str, Any]:
    """The settings that a run which goes on from another starts with.

    `epoch` counts anew, and where the parent ended by `max_steps` does not matter any more.
    """
    left = ("save_dir", "warmup_steps", "max_steps")
    kept = {k: v for k, v in info.config.items() if k not in left}
    return kept | {"corpus_dir": info.resolved["corpus_dir"]}


def tokenizer_for(
    config: RunConfig, text: PreparedText, progress: Progress = no_progress
) -> Tokenizer:
    """The tokenizer that `config` names, or one trained on `text`."""
    if config.vocab_path:
        return _given_tokenizer(config)
    vocab_size = choose_vocabulary(config, text.train_bytes)
    return prepare_tokenizer(text, config.tokenizer, vocab_size, progress)


def _given_tokenizer(config: RunConfig) -> Tokenizer:
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


def check_validation(store: TokenStore) -> None:
    """`CorpusError` if there is no held-out text to judge a model on."""
    if len(store.validation) < 2:
        raise CorpusError(
            "corpus_dir", "less than two tokens of held-out text", "enough to judge the model on",
            "add text or raise validation_fraction",
        )  # fmt: skip


def resolve(
    config: RunConfig,
    text: PreparedText,
    store: TokenStore,
    batches: BatchPlan,
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
        epochs = batches.epoch_of(steps - 1)
    filled = {
        "corpus_dir": str(text.source.paths[0])
        if text.source.spooled
        else config.corpus_dir or "python",
        "vocab_size": store.tokenizer.vocab_size,
        "epoch": epochs,
        "warmup_steps": choose_warmup(config, steps),
        "blank_rate": choose_blank_rate(config, epochs),
        "gradient_accumulation": config.parts,
    }
    return make_config(config.model_dump() | filled)


def course_for(
    resolved: RunConfig,
    execution: Execution,
    store: TokenStore,
    batches: BatchPlan,
    steps: int | None = None,
    *,
    ends: float | None = None,
    seconds_before: float = 0.0,
    continued: bool = False,
) -> Course:
    """The way of a run to its end, or to that of `steps`; each epoch is judged.

    `ends` and `seconds_before`: see `make_time_limit`. `continued`: it trains a finished model
    further.
    """
    assert resolved.epoch is not None
    assert resolved.warmup_steps is not None

    def judge(model: Transformer) -> Evaluation:
        with compute_in(execution):
            return evaluate(
                model,
                store.validation,
                store.tokenizer.byte_lengths,
                resolved.seq_len,
                max_windows=max(1, MOST_VALIDATION_TOKENS // resolved.seq_len),
            )

    steps = steps or total_steps(resolved, batches)
    rate = learning_rate(resolved, resolved.warmup_steps, steps, batches.epoch_of)
    diverged_above = loss_of_explosion(store.tokenizer.vocab_size, continued)
    tokens = min(len(store.validation), MOST_VALIDATION_TOKENS)
    limit = make_time_limit(resolved, tokens, ends, seconds_before)
    return Course(resolved, execution, batches, resolved.epoch, steps, rate, judge, diverged_above,
                  limit)  # fmt: skip


def fresh_state(model: Transformer, config: RunConfig, execution: Execution) -> TrainState:
    """`model` before its first step, where and as it will compute."""
    model.to(execution.device)
    model.train()
    model.checkpoint_activations = config.activation_checkpointing
    model.blank_rate = config.blank_rate or 0.0
    optimizers = make_optimizers(model, config, execution)
    if execution.compiled:
        look_at_compiler()
    return TrainState(model, optimizers, make_scaler(execution))


def _loss_of(parent: Path, resolved: RunConfig, store: TokenStore) -> float | None:
    """Validation loss of `parent`; None if it was judged on other text, or with another context."""
    info = read_info(parent)
    same_text = info.corpus["corpus_sha256"] == store.info.corpus_sha256
    judged_by = ("seed", "validation_fraction", "seq_len")
    if not same_text or any(info.resolved[k] != getattr(resolved, k) for k in judged_by):
        return None
    return read_summary(parent).validation_loss
