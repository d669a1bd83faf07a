"""From a configuration to a run that is ready to take its first step, or its next."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch

from descend.config import RunConfig
from descend.data.token_store import TokenStore
from descend.machine import Execution, describe_hardware, resolve_device
from descend.metrics.evaluation import Evaluation, EvaluationPart, evaluate
from descend.model.cost import evaluation_windows
from descend.model.shape import ModelShape
from descend.model.transformer import Transformer
from descend.progress import ProgressCallback, ignore_progress
from descend.runs.event_log import read_events
from descend.runs.events import Epoch, Overfitting, Rollback, Step, current_time
from descend.runs.recorded_run import RecordedRun, read_config
from descend.runs.run_files import RunMetadata, is_run_folder, read_info, relative_working_dir
from descend.runs.run_folder import read_summary
from descend.training.assembly import (
    PreparedCallback,
    RunAssembly,
    assemble_run,
    shard_as_needed,
)
from descend.training.checkpoint import load_checkpoint
from descend.training.distillation import load_teachers
from descend.training.execution.candidate_timing import TuningResult
from descend.training.explosion import loss_of_explosion
from descend.training.lora_adapters import hash_weights
from descend.training.loss import can_compile, prefetch_compiler_info
from descend.training.lr_schedule import make_lr_schedule
from descend.training.num_processes import choose_num_processes_again, divide_execution
from descend.training.optimizers import make_optimizers
from descend.training.precision import autocast_precision, make_grad_scaler
from descend.training.process_group import SINGLE_PROCESS, ProcessGroup
from descend.training.recipe import count_total_steps
from descend.training.resumption import (
    ResumePoint,
    check_is_unfinished,
    check_tokens,
    choose_checkpoint,
    list_differences,
    reassemble_run,
)
from descend.training.self_check import check_attention_kernel
from descend.training.step_inputs import StepInputs
from descend.training.time_limit import make_time_limit
from descend.training.train_plan import TrainPlan
from descend.training.train_state import TrainState
from descend.version import __version__

MAX_VALIDATION_TOKENS = 2**17
"""Validation tokens that each epoch is judged on: enough for a standard error near 0.01 nat."""


@dataclass(frozen=True)
class TrainingRun:
    """A run that is ready: what it follows, and what it starts from."""

    folder: Path
    info: RunMetadata
    shape: ModelShape
    store: TokenStore
    plan: TrainPlan
    state: TrainState
    tuning: TuningResult | None
    previous_epochs: tuple[Epoch, ...]
    """Epochs of earlier sessions, where the run is resumed."""
    previous_rollbacks: tuple[Rollback, ...]
    overfitting_before: Overfitting | None = None
    """What was reported of it in earlier sessions."""
    resume_point: ResumePoint | None = None
    """Where a run is resumed from; None for a new one."""
    too_long_context: int | None = None
    """The default `seq_len`, where the text is too short for it and another was chosen."""
    chosen_batch_size: int | None = None
    """The `batch_size` that the size of the text decided; None where it is requested or default."""

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
    on_prepared: PreparedCallback | None = None,
) -> TrainingRun:
    """Return a run from the start, or with `parent` one that trains its model further.

    `ends`: when a run with `minutes` has to be saved, by `time.perf_counter`.
    """
    assembly = assemble_run(config, parent, progress, ends, on_prepared)
    plan = make_train_plan(assembly, ends=ends, continued=bool(parent))
    state = initial_train_state(assembly, assembly.execution)
    check_attention_kernel(assembly.execution, assembly.shape)
    info = _make_metadata(assembly, folder, preset, parent, state.run_id)
    return TrainingRun(
        folder, info, assembly.shape, assembly.store, plan, state, assembly.tuning, (), (),
        too_long_context=assembly.too_long_context,
        chosen_batch_size=assembly.chosen_batch_size,
    )  # fmt: skip


def _make_metadata(
    assembly: RunAssembly, folder: Path, preset: str, parent: Path | None, run_id: str
) -> RunMetadata:
    return RunMetadata(
        version=__version__,
        saved_at=current_time(),
        preset=preset,
        requested_config=assembly.requested.model_dump(mode="json"),
        resolved_config=assembly.config.model_dump(mode="json"),
        execution=msgspec.to_builtins(assembly.execution),
        corpus=msgspec.to_builtins(assembly.store.info),
        hardware=describe_hardware(assembly.execution.device),
        parent=str(parent) if parent else None,
        parent_loss=_loss_of(parent, assembly) if parent else None,
        parent_hash=(
            hash_weights(assembly.parent)
            if assembly.config.lora_rank and assembly.parent is not None
            else None
        ),
        network=assembly.shape.details if assembly.shape.architecture == "llama" else None,
        working_dir=relative_working_dir(folder),
        run_id=run_id,
    )


def resume_run(
    folder: Path,
    progress: ProgressCallback = ignore_progress,
    ends: float | None = None,
    num_processes: int | None = None,
) -> TrainingRun:
    """Return the interrupted run in `folder`, to be taken up after its newest whole checkpoint.

    `num_processes`: None, those of torchrun or as many as before.
    """
    recorded_run = RecordedRun(folder)
    info, execution = recorded_run.metadata, recorded_run.execution
    check_is_unfinished(folder)
    checkpoint, damaged_files = choose_checkpoint(folder)
    resolve_device(execution.device)
    count = choose_num_processes_again(recorded_run.config, execution, num_processes)
    differences = list_differences(execution, count)
    execution = divide_execution(execution, count)
    info = msgspec.structs.replace(
        info, resolved_config=info.resolved_config | {"num_processes": count}
    )
    if execution.compiled and not can_compile(execution.device):
        execution = msgspec.structs.replace(execution, compiled=False)
    assembly = reassemble_run(folder, info, execution, progress)
    assembly = shard_as_needed(assembly)
    check_tokens(folder, info, assembly.store)
    state = initial_train_state(assembly, assembly.execution, has_weights=False)
    load_checkpoint(checkpoint, state, info.run_id)
    plan = make_train_plan(assembly, ends=ends, resumed=state, continued=bool(info.parent))
    check_attention_kernel(assembly.execution, assembly.shape)
    before = read_events(folder, state.step, state.rollback_state.num_rollbacks)
    step_seconds = [r.seconds for r in before if isinstance(r, Step)]
    return TrainingRun(
        folder, info, assembly.shape, assembly.store, plan, state, None,
        tuple(r for r in before if isinstance(r, Epoch)),
        tuple(r for r in before if isinstance(r, Rollback)),
        next((r for r in before if isinstance(r, Overfitting)), None),
        ResumePoint(
            checkpoint, damaged_files, differences,
            statistics.median(step_seconds) if step_seconds else None,
        ),
    )  # fmt: skip


def make_train_plan(
    assembly: RunAssembly,
    steps: int | None = None,
    *,
    ends: float | None = None,
    resumed: TrainState | None = None,
    continued: bool = False,
) -> TrainPlan:
    """Return the trajectory of a run to its end, or to that of `steps`; each epoch is judged.

    `ends` and `resumed`: see `make_time_limit`. `continued`: it trains a finished model further.
    """
    resolved, execution, store = assembly.config, assembly.execution, assembly.store
    batches = assembly.batches
    assert resolved.epoch is not None
    assert resolved.warmup_steps is not None

    def evaluate_epoch(model: Transformer, group: ProcessGroup = SINGLE_PROCESS) -> Evaluation:
        part = EvaluationPart(
            group.rank, group.world_size, group.sum_totals, is_in_step=execution.sharded
        )
        with autocast_precision(execution):
            return evaluate(
                model,
                store.validation,
                store.tokenizer.byte_lengths,
                resolved.seq_len,
                batch_size=evaluation_windows(resolved, model.shape),
                max_windows=max(1, MAX_VALIDATION_TOKENS // resolved.seq_len),
                part=part,
            )

    steps = steps or count_total_steps(resolved, batches)
    rate = make_lr_schedule(resolved, resolved.warmup_steps, steps, batches.epoch_at_step)
    diverged_above = loss_of_explosion(store.tokenizer.vocab_size, continued)
    tokens = min(len(store.validation), MAX_VALIDATION_TOKENS)
    limit = make_time_limit(resolved, tokens, max(1, batches.steps(1)), ends, resumed)
    return TrainPlan(
        resolved, execution, batches, resolved.epoch, steps, rate, evaluate_epoch, diverged_above,
        limit, teachers=load_teachers(resolved, store.tokenizer, execution.device),
    )  # fmt: skip


def initial_train_state(
    inputs: StepInputs, execution: Execution, *, has_weights: bool = True
) -> TrainState:
    """Put the network of `inputs` before its first step, where and as it will compute.

    Where processes will divide it, it is in the main memory until then, and without `has_weights`
    in no memory.
    """
    if execution.sharded:
        with torch.device("cpu" if has_weights else "meta"):
            model = inputs.build_model()
        model = inputs.reset_model(execution) if has_weights else model
        return TrainState(model, make_optimizers(model, inputs.config), make_grad_scaler(execution))
    model = inputs.reset_model(execution)
    optimizers = make_optimizers(model, inputs.config, execution)
    if execution.compiled:
        prefetch_compiler_info()
    return TrainState(model, optimizers, make_grad_scaler(execution))


def _loss_of(parent: Path, assembly: RunAssembly) -> float | None:
    """Return the validation loss of `parent`; None if it was judged on other text, or with another
    context."""
    if not is_run_folder(parent):  # a model of another program
        return None
    info = read_info(parent)
    same_text = info.corpus["corpus_sha256"] == assembly.store.info.corpus_sha256
    before, now = read_config(parent, info), assembly.config
    evaluation_keys = ("data_seed", "validation_fraction", "seq_len")
    if not same_text or any(getattr(before, k) != getattr(now, k) for k in evaluation_keys):
        return None
    return read_summary(parent).validation_loss
