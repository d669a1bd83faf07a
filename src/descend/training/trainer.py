"""A job carried through: records written, states saved, the best model kept.

A generator again: whoever wants to show the run, iterates over its records.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field

import msgspec
import torch

from descend.config import make_config
from descend.errors import DescendError, DivergedError, RunLockedError
from descend.runs.atomic_write import write_file_atomic
from descend.runs.event_log import EVENTS, EventLog
from descend.runs.events import (
    CheckpointSaved,
    Epoch,
    Event,
    Overfitting,
    Rollback,
    Sample,
    TrainingStarted,
    TrainingStopped,
    current_time,
)
from descend.runs.lock import LockedRunFolder, lock_run_folder
from descend.runs.model_files import save_model
from descend.runs.run_files import (
    CHECKPOINTS,
    TOKENIZER,
    WEIGHTS,
    RunMetadata,
    RunSummary,
    has_summary,
    is_finished,
    is_run_folder,
    latest_checkpoint,
    write_info,
    write_summary,
)
from descend.runs.saved_weights import remove_snapshots_after
from descend.runs.suggestions import lacks_model, retrain_command
from descend.training.checkpoint import save_checkpoint
from descend.training.explosion import name_probable_cause
from descend.training.loop import train
from descend.training.memory import translate_memory_errors
from descend.training.nonfinite import check_numbers
from descend.training.overfitting import react_to_overfitting
from descend.training.process_settings import restore_process_state
from descend.training.recipe import choose_warmup
from descend.training.rollback import roll_back
from descend.training.stop_signals import TrainingInterrupted, defer_stop_signals
from descend.training.text_samples import generate_sample, validation_prompts
from descend.training.train_state import last_step, load_weights
from descend.training.training_run import TrainingRun
from descend.training.weight_snapshots import keep_snapshot

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
    since: float = field(default_factory=time.perf_counter)
    cost: float = 0.0

    def is_due(self) -> bool:
        """Whether enough time has passed since the last time to pay for the next."""
        return time.perf_counter() - self.since >= self.cost / self.fraction

    def is_overdue(self) -> bool:
        """Whether a sample within an epoch is due."""
        interval = SAMPLE_INTERVAL_SECONDS if self.cost else FIRST_SAMPLE_SECONDS
        wait = max(interval, self.cost / MAX_SAMPLING_FRACTION)
        return time.perf_counter() - self.since >= wait

    def add_cost(self, seconds: float) -> None:
        """Note what it cost this time."""
        self.cost, self.since = seconds, time.perf_counter()


def run_training(run: TrainingRun) -> Iterator[Event]:
    """Train `run` to its end, writing its folder; every record is yielded once it is written.

    Raises `TrainingInterrupted` after a signal (saved, resumable), `RunLockedError` if another
    process wrote to the folder since `run` was made, `DivergedError`, `DiskWriteError`,
    `OutOfMemoryError`; what was saved before stays as it was.
    """
    with ExitStack() as stack:
        locked_folder = stack.enter_context(lock_run_folder(run.folder))
        _check_unchanged(run)  # under the lock: before it, another run may still begin
        log = stack.enter_context(closing(EventLog(run.folder)))
        stack.enter_context(restore_process_state())
        torch.set_num_threads(run.plan.execution.threads)
        if run.state.step == 0:
            write_info(run.folder, run.info)
            write_file_atomic(run.folder / TOKENIZER, run.store.tokenizer.to_bytes())
        try:
            for record in _records(run, locked_folder):
                log.append(record)
                yield record
        except (DescendError, TrainingInterrupted) as problem:
            reason = (
                "interrupted"
                if isinstance(problem, TrainingInterrupted)
                else ("diverged" if isinstance(problem, DivergedError) else "failed")
            )
            diverged = problem if isinstance(problem, DivergedError) else None
            actual = diverged.actual if diverged else ""
            log.append(TrainingStopped(run.state.step, reason, current_time(), actual))  # type: ignore[arg-type]
            if diverged:
                raise _with_fix(diverged, run) from None
            raise


def _check_unchanged(job: TrainingRun) -> None:
    """Raise `RunLockedError` if another process wrote to the folder of `job` since it was made."""
    folder = job.folder
    if job.checkpoint is None:
        places = [folder / name for name in (EVENTS, CHECKPOINTS, WEIGHTS)]
        changed = is_run_folder(folder) or has_summary(folder) or any(p.exists() for p in places)
        problem, what_to_do = "a run that another process began", "choose another save_dir"
    else:
        finished = is_finished(folder) and not lacks_model(folder)
        changed = finished or latest_checkpoint(folder) != job.checkpoint
        problem, what_to_do = "a run that another process took up meanwhile", "resume it again"
    if changed:
        raise RunLockedError(str(folder), problem, "the folder as it was at the start", what_to_do)


def _go_back(job: TrainingRun) -> Rollback | None:
    """Put a state that holds a number that is not finite back to the last good one.

    Raises `DivergedError` where that is not possible: such a state is never saved.
    """
    state, plan = job.state, job.plan
    try:
        check_numbers(state, plan.batches.epoch_at_step(max(state.step - 1, 0)))
    except DivergedError as trouble:
        return roll_back(state, plan.config, state.step, trouble)
    return None


def _with_fix(problem: DivergedError, job: TrainingRun) -> DivergedError:
    """`problem` with its probable cause and the command that fixes it."""
    cause = name_probable_cause(job.plan.config)
    error = DivergedError(
        problem.location, problem.actual, problem.expected, cause + problem.fix
    )  # fmt: skip
    error.next_command = retrain_command(job.folder)
    return error


def _records(run: TrainingRun, locked_folder: LockedRunFolder) -> Iterator[Event]:
    state, folder = run.state, run.folder
    saving, sampling = TimeBudget(MAX_CHECKPOINT_FRACTION), TimeBudget(SAMPLING_FRACTION)
    epochs, rollbacks = list(run.previous_epochs), list(run.previous_rollbacks)
    overfitting = run.overfitting_before
    saved = state.step > 0  # a resumed run stands where its checkpoint does
    yield TrainingStarted(state.step, current_time())
    if state.step == 0:
        keep_snapshot(locked_folder, 0, state.model)
    with defer_stop_signals() as stop_request, translate_memory_errors(run.plan.config, run.shape):
        for records in train(state, run.plan):
            yield from records
            record = records[-1]
            keep_snapshot(locked_folder, state.step, state.model)
            if isinstance(record, Rollback):
                remove_snapshots_after(folder, record.step)
                rollbacks.append(record)
                epochs = [e for e in epochs if e.step <= record.step]
            if isinstance(record, Epoch):
                epochs.append(record)
                locked_folder.check()
                rise = react_to_overfitting(state, run.plan, epochs, free=run.free_length)
                if rise and overfitting is None:
                    overfitting = rise
                    yield rise
                write_summary(folder, build_run_summary(run, epochs, rollbacks, [], overfitting))
            ends_epoch = isinstance(record, Epoch)
            if stop_request.signal_number is None and _may_sample(run, sampling, ends_epoch):
                began = time.perf_counter()
                yield _sample(run, validation_prompts(run.store)[0])
                sampling.add_cost(time.perf_counter() - began)
            stop = stop_request.signal_number
            saved = stop is not None or saving.is_due()
            if saved:
                if (back := _go_back(run)) is not None:
                    yield back
                    rollbacks.append(back)
                    epochs = [e for e in epochs if e.step <= back.step]
                locked_folder.check()
                began = time.perf_counter()
                save_checkpoint(folder, state)
                saving.add_cost(time.perf_counter() - began)
                yield CheckpointSaved(state.step, saving.cost)
            if stop is not None:
                raise TrainingInterrupted(str(folder), state.step, stop)
        locked_folder.check()
        if not saved:
            save_checkpoint(folder, state)
        yield from _finish(run, epochs, rollbacks, overfitting)
        locked_folder.check()
    yield TrainingStopped(state.step, "finished", current_time())


def _finish(
    run: TrainingRun,
    epochs: list[Epoch],
    rollbacks: list[Rollback],
    overfitting: Overfitting | None,
) -> Iterator[Event]:
    """Keep the best weights as the model, let it write, save it."""
    state = run.state
    assert state.best is not None  # every run ends with an epoch, and every epoch is judged
    load_weights(state.model, state.best.weights)
    samples: list[Sample] = []
    for prompt in validation_prompts(run.store):
        samples.append(_sample(run, prompt))
        yield samples[-1]
    summary = build_run_summary(run, epochs, rollbacks, samples, overfitting, finished=True)
    info = _completed_info(run)
    if info != run.info:
        write_info(run.folder, info)
    save_model(run.folder, state.model, run.store.tokenizer, info, summary)
    write_summary(run.folder, summary)


def _completed_info(job: TrainingRun) -> RunMetadata:
    """The run's facts; of a run that the clock ended, with the steps that it made."""
    if job.plan.time_limit is None:
        return job.info
    steps, requested = job.state.step, make_config(job.info.requested_config)
    made = {
        "max_steps": steps,
        "epoch": job.plan.batches.epoch_at_step(steps - 1),
        "warmup_steps": choose_warmup(requested, steps),
    }
    return msgspec.structs.replace(job.info, resolved_config=job.info.resolved_config | made)


def _may_sample(run: TrainingRun, sampling: TimeBudget, ends_epoch: bool) -> bool:
    """Whether a sample is due that the time of the run has room for."""
    if run.state.step >= last_step(run.state, run.plan.total_steps):
        return False  # the finished model writes its own
    limit = run.plan.time_limit
    if limit is not None and (
        limit.is_over or limit.training_seconds - limit.elapsed() < FIRST_SAMPLE_SECONDS
    ):
        return ends_epoch and not limit.is_over and sampling.is_due()
    return sampling.is_overdue() or (ends_epoch and sampling.is_due())


def _sample(run: TrainingRun, prompt: str) -> Sample:
    config = run.plan.config
    return generate_sample(
        run.state.model, run.store, prompt,
        step=run.state.step, context=config.seq_len, seed=config.seed,
    )  # fmt: skip


def build_run_summary(
    run: TrainingRun,
    epochs: list[Epoch],
    rollbacks: list[Rollback],
    samples: list[Sample],
    overfitting: Overfitting | None = None,
    finished: bool = False,
) -> RunSummary:
    """The result of `run` so far."""
    best = min(epochs, key=lambda e: e.validation_loss)
    batches = run.plan.batches
    baselines = run.store.info.ngram_baselines
    return RunSummary(
        model_dir=str(run.folder),
        parameters=sum(p.numel() for p in run.state.model.parameters()),
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
        finished=finished,
        samples=samples,
        rollbacks=rollbacks,
        overfitting=overfitting,
        continued=run.info.parent is not None,
        parent_validation_loss=run.info.parent_loss,
        num_epochs=batches.epochs_at_step(run.state.step),
    )
