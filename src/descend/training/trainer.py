"""A run carried through: records written, states saved, the best model kept.

A generator again: whoever wants to show the run, iterates over its records.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec
import torch

from descend.config import make_config
from descend.errors import DescendError, DivergedError
from descend.model.cost import parameter_count
from descend.runs.events import (
    CheckpointSaved,
    Epoch,
    Event,
    Overfitting,
    Rollback,
    Sample,
    StopReason,
    TrainingStarted,
    TrainingStopped,
    current_time,
)
from descend.runs.run_files import RunMetadata, RunSummary
from descend.runs.suggestions import retrain_command
from descend.training.explosion import name_probable_cause
from descend.training.loop import train
from descend.training.lora_adapters import has_adapters, merge_adapters
from descend.training.memory import needed_main_memory, translate_memory_errors
from descend.training.nonfinite import check_numbers
from descend.training.overfitting import react_to_overfitting, update_overfitting
from descend.training.pause import wait_while_paused
from descend.training.process_group import translate_lost_processes
from descend.training.process_settings import restore_process_state
from descend.training.recipe import choose_warmup
from descend.training.rendezvous import lead_processes
from descend.training.rollback import roll_back
from descend.training.run_writer import RunWriter, open_run_writer
from descend.training.sharded_state import gather_model
from descend.training.stop_signals import StopRequest, TrainingInterrupted, defer_stop_signals
from descend.training.text_samples import validation_prompts
from descend.training.train_state import last_step, load_weights
from descend.training.training_run import TrainingRun

MAX_CHECKPOINT_FRACTION = 0.02
"""Most that saving may cost, as a fraction of training time: the next save waits until then."""

SAMPLING_FRACTION = 0.02
"""The same for the sample written after an epoch."""

FIRST_SAMPLE_SECONDS, SAMPLE_INTERVAL_SECONDS = 10.0, 20.0
"""When long epochs write samples too: a reader sees what the model writes long before it is done.
"""

MAX_SAMPLING_FRACTION = 0.05
"""Fraction of the time that these samples may take: those of a slow network come less often."""


@dataclass
class TimeBudget:
    """Lets something costly happen only as often as its own cost allows."""

    fraction: float
    clock: Callable[[], float] = time.perf_counter
    cost: float = 0.0

    def __post_init__(self) -> None:
        self.since = self.clock()

    def is_due(self) -> bool:
        """Return whether enough time has passed since the last time to pay for the next."""
        return self.clock() - self.since >= self.cost / self.fraction

    def is_overdue(self) -> bool:
        """Return whether a sample within an epoch is due."""
        interval = SAMPLE_INTERVAL_SECONDS if self.cost else FIRST_SAMPLE_SECONDS
        wait = max(interval, self.cost / MAX_SAMPLING_FRACTION)
        return self.clock() - self.since >= wait

    @contextmanager
    def measure_cost(self) -> Iterator[None]:
        """Note what the block costs this time."""
        began = self.clock()
        yield
        self.since = self.clock()
        self.cost = self.since - began


def run_training(run: TrainingRun) -> Iterator[Event]:
    """Train `run` to its end, writing its folder; every record is yielded once it is written.

    Raises `TrainingInterrupted` after a signal (saved, resumable), `RunLockedError` if another
    process wrote to the folder since `run` was made, `DivergedError`, `DiskWriteError`,
    `OutOfMemoryError`, `ProcessLostError`; what was saved before stays as it was.
    """
    with open_run_writer(run) as writer, lead_processes(run) as joined_run:
        writer.begin()
        try:
            for record in train_and_save(joined_run, writer):
                writer.append(record)
                yield record
        except (DescendError, TrainingInterrupted) as problem:
            diverged = problem if isinstance(problem, DivergedError) else None
            writer.append(_describe_stop(run, problem))
            if diverged:
                raise _with_fix(diverged, run) from None
            raise


def _describe_stop(run: TrainingRun, problem: BaseException) -> TrainingStopped:
    reason: StopReason = "failed"
    if isinstance(problem, TrainingInterrupted):
        reason = "interrupted"
    elif isinstance(problem, DivergedError):
        reason = "diverged"
    actual = problem.actual if isinstance(problem, DivergedError) else ""
    return TrainingStopped(run.state.step, reason, current_time(), actual)


def _go_back(run: TrainingRun) -> Rollback | None:
    """Put a state that holds a number that is not finite back to the last good one.

    Raises `DivergedError` where that is not possible: such a state is never saved.
    """
    state, plan = run.state, run.plan
    try:
        check_numbers(state, plan.batches.epoch_at_step(max(state.step - 1, 0)))
    except DivergedError as trouble:
        return roll_back(state, plan.config, state.step, trouble)
    return None


def _with_fix(problem: DivergedError, run: TrainingRun) -> DivergedError:
    """Return `problem` with its probable cause and the command that fixes it."""
    cause = name_probable_cause(run.plan.config)
    error = DivergedError(
        problem.location, problem.actual, problem.expected, cause + problem.fix
    )  # fmt: skip
    error.next_command = retrain_command(run.folder)
    return error


def train_and_save(run: TrainingRun, writer: RunWriter) -> Iterator[Event]:
    """Train `run` and hand its results to `writer`: the same steps in each process of its group."""
    with (
        restore_process_state(_ample_memory(run)),
        translate_memory_errors(run.plan.config, run.shape),
        translate_lost_processes(run.plan.group),
    ):
        torch.set_num_threads(run.plan.execution.threads)
        yield TrainingStarted(
            run.state.step, current_time(), num_rollbacks=run.state.rollback_state.num_rollbacks
        )
        with defer_stop_signals() as stop_request:
            yield from _records(run, writer, stop_request)
        yield TrainingStopped(run.state.step, "finished", current_time())


def _ample_memory(run: TrainingRun) -> int:
    """Return bytes for which there must be ample memory, so that what is freed stays here.

    What FSDP2 frees of a step is what dividing the weights saves: it always goes back.
    """
    if run.plan.execution.sharded:
        return sys.maxsize
    return needed_main_memory(run.plan.config, run.shape)


def _records(run: TrainingRun, writer: RunWriter, stop_request: StopRequest) -> Iterator[Event]:
    state, group = run.state, run.plan.group
    saving = TimeBudget(MAX_CHECKPOINT_FRACTION, group.clock)
    sampling = TimeBudget(SAMPLING_FRACTION, group.clock)
    epochs, rollbacks = list(run.previous_epochs), list(run.previous_rollbacks)
    overfitting = run.overfitting_before
    saved = state.step > 0  # a resumed run stands where its checkpoint does
    if state.step == 0:
        writer.keep_snapshot()
    for records in train(state, run.plan):
        yield from records
        record = records[-1]
        writer.keep_snapshot()
        if isinstance(record, Rollback):
            writer.remove_snapshots_after(record.step)
            rollbacks.append(record)
            epochs = [e for e in epochs if e.step <= record.step]
        if isinstance(record, Epoch):
            epochs.append(record)
            writer.check()
            rise = react_to_overfitting(state, run.plan, epochs, free=run.free_length)
            if rise and overfitting is None:
                overfitting = rise
                yield rise
            writer.write_summary(build_run_summary(run, epochs, rollbacks, [], overfitting))
        stop, pauses = group.agree_on_stop(stop_request.signal_number, writer.is_pause_requested())
        if stop is None and _may_sample(run, sampling, isinstance(record, Epoch)):
            with sampling.measure_cost():
                yield from writer.generate_sample(validation_prompts(run.store)[0])
        saved = stop is not None or pauses or saving.is_due()
        if saved:
            if (back := _go_back(run)) is not None:
                yield back
                rollbacks.append(back)
                epochs = [e for e in epochs if e.step <= back.step]
            with saving.measure_cost():
                _save(run, writer)
            yield CheckpointSaved(state.step, saving.cost)
        if pauses:  # a machine that is switched off meanwhile loses nothing: it is saved
            stop = yield from wait_while_paused(run, writer.is_pause_requested, stop_request)
        if stop is not None:
            raise TrainingInterrupted(str(run.folder), state.step, stop)
    if not saved:
        _save(run, writer)
    yield from _finish(run, writer, epochs, rollbacks, overfitting)
    writer.check()


def _save(run: TrainingRun, writer: RunWriter) -> None:
    """Save a state that all processes agree on."""
    run.plan.group.check_same_weights(run.state.model)
    writer.check()
    writer.save_checkpoint()


def _finish(
    run: TrainingRun,
    writer: RunWriter,
    epochs: list[Epoch],
    rollbacks: list[Rollback],
    overfitting: Overfitting | None,
) -> Iterator[Event]:
    """Keep the best weights as the model, let it write, save it."""
    state = run.state
    assert state.best is not None  # every run ends with an epoch, and every epoch is judged
    load_weights(state.model, state.best.weights)
    if state.shards:
        gather_model(state, run.plan.config)
    samples: list[Sample] = []
    for prompt in validation_prompts(run.store):
        new = writer.generate_sample(prompt)
        samples += new
        yield from new
    summary = build_run_summary(run, epochs, rollbacks, samples, overfitting, finished=True)
    if has_adapters(state.model):
        merge_adapters(state.model)
    writer.save_model(_completed_info(run), summary)


def _completed_info(run: TrainingRun) -> RunMetadata:
    """Return the run's facts; of a run that the clock ended, with the steps that it made."""
    if run.plan.time_limit is None:
        return run.info
    steps, requested = run.state.step, make_config(run.info.requested_config)
    made = {
        "max_steps": steps,
        "epoch": run.plan.batches.epoch_at_step(steps - 1),
        "warmup_steps": choose_warmup(requested, steps),
    }
    return msgspec.structs.replace(run.info, resolved_config=run.info.resolved_config | made)


def _may_sample(run: TrainingRun, sampling: TimeBudget, ends_epoch: bool) -> bool:
    """Return whether a sample is due that the time of the run has room for."""
    if run.state.step >= last_step(run.state, run.plan.total_steps):
        return False  # the finished model writes its own
    limit = run.plan.time_limit
    if limit is not None and (
        limit.is_over or limit.training_seconds - limit.shared_elapsed() < FIRST_SAMPLE_SECONDS
    ):
        return ends_epoch and not limit.is_over and sampling.is_due()
    return sampling.is_overdue() or (ends_epoch and sampling.is_due())


def build_run_summary(
    run: TrainingRun,
    epochs: list[Epoch],
    rollbacks: list[Rollback],
    samples: list[Sample],
    overfitting: Overfitting | None = None,
    finished: bool = False,
) -> RunSummary:
    """Return the result of `run` so far."""
    best = min(epochs, key=lambda e: e.validation_loss)
    batches = run.plan.batches
    baselines = run.store.info.ngram_baselines
    return RunSummary(
        model_dir=str(run.folder),
        parameters=parameter_count(run.shape),
        seconds=run.state.elapsed_seconds,
        tokens_per_second=run.state.step
        * batches.tokens_per_step
        / max(run.state.elapsed_seconds, 1e-9),
        epochs=epochs,
        best_epoch=best.epoch,
        validation_loss=best.validation_loss,
        validation_accuracy=best.validation_accuracy,
        bits_per_byte=best.bits_per_byte,
        ngram_baselines={
            "uniform": baselines.uniform,
            "unigram": baselines.unigram,
            "bigram": baselines.bigram,
        },
        accuracy_baselines=baselines.accuracies,
        finished=finished,
        samples=samples,
        rollbacks=rollbacks,
        overfitting=update_overfitting(overfitting, epochs),
        continued=run.info.parent is not None,
        parent_validation_loss=run.info.parent_loss,
        num_epochs=batches.epochs_at_step(run.state.step),
        train_tokens=len(run.store.train),
    )
