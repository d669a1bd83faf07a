"""A job carried through: records written, states saved, the best model kept.

A generator again: whoever wants to show the run, iterates over its records.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field

import msgspec
import torch

from descend.config import make_config
from descend.errors import DescendError, DivergedError, LockedError
from descend.runs.durable import write_file
from descend.runs.events import EVENTS
from descend.runs.folder import (
    CHECKPOINTS,
    TOKENIZER,
    WEIGHTS,
    EventLog,
    RunInfo,
    Summary,
    has_summary,
    is_finished,
    is_run,
    newest_checkpoint,
    write_info,
    write_summary,
)
from descend.runs.lock import HeldFolder, writing
from descend.runs.model_files import save_model
from descend.runs.records import (
    Epoch,
    Overfitting,
    Record,
    Rescue,
    Sample,
    Saved,
    Started,
    Stopped,
)
from descend.runs.suggestions import lacks_model, retrain_command
from descend.training.checkpoint import save_checkpoint
from descend.training.divergence import check_numbers
from descend.training.explosion import name_probable_cause
from descend.training.interrupts import Interrupted, noticing_signals
from descend.training.job import Job
from descend.training.loop import train
from descend.training.memory import memory_errors
from descend.training.overfitting import react_to_overfitting
from descend.training.process import process_kept
from descend.training.recipe import choose_warmup
from descend.training.rescue import rescue
from descend.training.samples import held_out_prompts, write_sample
from descend.training.state import last_step, put_weights

SAVING_SHARE = 0.02
"""Most that saving may cost, as a share of training time: the next save waits until then."""

SAMPLING_SHARE = 0.02
"""The same for the sample shown after an epoch."""


@dataclass
class Budget:
    """Lets something costly happen only as often as its own cost allows."""

    share: float
    since: float = field(default_factory=time.perf_counter)
    cost: float = 0.0

    def due(self) -> bool:
        """Whether enough time has passed since the last time to pay for the next."""
        return time.perf_counter() - self.since >= self.cost / self.share

    def paid(self, seconds: float) -> None:
        """Note what it cost this time."""
        self.cost, self.since = seconds, time.perf_counter()


def work(job: Job) -> Iterator[Record]:
    """Train `job` to its end, writing its folder; every record is yielded once it is written.

    Raises `Interrupted` after a signal (saved, resumable), `LockedError` if another process wrote
    to the folder since `job` was made, `DivergedError`, `DiskError`, `OutOfMemoryError`; what was
    saved before stays as it was.
    """
    with ExitStack() as stack:
        held = stack.enter_context(writing(job.folder))
        _check_unchanged(job)  # under the lock: before it, another run may still begin
        log = stack.enter_context(closing(EventLog(job.folder)))
        stack.enter_context(process_kept())
        torch.set_num_threads(job.course.execution.threads)
        if job.state.step == 0:
            write_info(job.folder, job.info)
            write_file(job.folder / TOKENIZER, job.store.tokenizer.to_bytes())
        try:
            for record in _records(job, held):
                log.append(record)
                yield record
        except (DescendError, Interrupted) as problem:
            reason = (
                "interrupted"
                if isinstance(problem, Interrupted)
                else ("diverged" if isinstance(problem, DivergedError) else "failed")
            )
            diverged = problem if isinstance(problem, DivergedError) else None
            found = diverged.found if diverged else ""
            log.append(Stopped(job.state.step, reason, _now(), found))  # type: ignore[arg-type]
            if diverged:
                raise _with_fix(diverged, job) from None
            raise


def _check_unchanged(job: Job) -> None:
    """Raise `LockedError` if another process wrote to the folder of `job` since it was made."""
    folder = job.folder
    if job.checkpoint is None:
        places = [folder / name for name in (EVENTS, CHECKPOINTS, WEIGHTS)]
        changed = is_run(folder) or has_summary(folder) or any(p.exists() for p in places)
        found, what_to_do = "a run that another process began", "choose another save_dir"
    else:
        finished = is_finished(folder) and not lacks_model(folder)
        changed = finished or newest_checkpoint(folder) != job.checkpoint
        found, what_to_do = "a run that another process took up meanwhile", "resume it again"
    if changed:
        raise LockedError(str(folder), found, "the folder as it was at the start", what_to_do)


def _go_back(job: Job) -> Rescue | None:
    """Put a state that holds a number that is not finite back to the last good one.

    Raises `DivergedError` where that is not possible: such a state is never saved.
    """
    state, course = job.state, job.course
    try:
        check_numbers(state, course.batches.epoch_of(max(state.step - 1, 0)))
    except DivergedError as trouble:
        return rescue(state, course.config, state.step, trouble)
    return None


def _with_fix(problem: DivergedError, job: Job) -> DivergedError:
    """`problem` with its probable cause and the command that fixes it."""
    cause = name_probable_cause(job.course.config)
    told = DivergedError(
        problem.where, problem.found, problem.expected, cause + problem.what_to_do
    )  # fmt: skip
    told.next_command = retrain_command(job.folder)
    return told


def _records(job: Job, held: HeldFolder) -> Iterator[Record]:
    state, folder = job.state, job.folder
    saving, sampling = Budget(SAVING_SHARE), Budget(SAMPLING_SHARE)
    epochs, rescues = list(job.epochs_before), list(job.rescues_before)
    overfitting = job.overfitting_before
    saved = state.step > 0  # a resumed run stands where its checkpoint does
    yield Started(state.step, _now())
    with noticing_signals() as wish, memory_errors(job.course.config, job.shape):
        for records in train(state, job.course):
            yield from records
            record = records[-1]
            if isinstance(record, Rescue):
                rescues.append(record)
                epochs = [e for e in epochs if e.step <= record.step]
            if isinstance(record, Epoch):
                epochs.append(record)
                held.check()
                rise = react_to_overfitting(state, job.course, epochs, free=job.free_length)
                if rise and overfitting is None:
                    overfitting = rise
                    yield rise
                write_summary(folder, summarise(job, epochs, rescues, [], overfitting))
                more = state.step < last_step(state, job.course.total_steps)
                if more and sampling.due() and wish.signal_number is None:
                    began = time.perf_counter()
                    yield _sample(job, held_out_prompts(job.store)[0])
                    sampling.paid(time.perf_counter() - began)
            stop = wish.signal_number
            saved = stop is not None or saving.due()
            if saved:
                if (back := _go_back(job)) is not None:
                    yield back
                    rescues.append(back)
                    epochs = [e for e in epochs if e.step <= back.step]
                held.check()
                began = time.perf_counter()
                save_checkpoint(folder, state)
                saving.paid(time.perf_counter() - began)
                yield Saved(state.step, saving.cost)
            if stop is not None:
                raise Interrupted(str(folder), state.step, stop)
        held.check()
        if not saved:
            save_checkpoint(folder, state)
        yield from _finish(job, epochs, rescues, overfitting)
        held.check()
    yield Stopped(state.step, "finished", _now())


def _finish(
    job: Job, epochs: list[Epoch], rescues: list[Rescue], overfitting: Overfitting | None
) -> Iterator[Record]:
    """Keep the best weights as the model, let it write, save it."""
    state = job.state
    assert state.best is not None  # every run ends with an epoch, and every epoch is judged
    put_weights(state.model, state.best.weights)
    samples: list[Sample] = []
    for prompt in held_out_prompts(job.store):
        samples.append(_sample(job, prompt))
        yield samples[-1]
    summary = summarise(job, epochs, rescues, samples, overfitting, finished=True)
    info = _completed_info(job)
    if info != job.info:
        write_info(job.folder, info)
    save_model(job.folder, state.model, job.store.tokenizer, info, summary)
    write_summary(job.folder, summary)


def _completed_info(job: Job) -> RunInfo:
    """The run's facts; of a run that the clock ended, with the steps that it made."""
    if job.course.time_limit is None:
        return job.info
    steps, asked = job.state.step, make_config(job.info.config)
    made = {
        "max_steps": steps,
        "epoch": job.course.batches.epoch_of(steps - 1),
        "warmup_steps": choose_warmup(asked, steps),
    }
    return msgspec.structs.replace(job.info, resolved=job.info.resolved | made)


def _sample(job: Job, prompt: str) -> Sample:
    config = job.course.config
    return write_sample(
        job.state.model, job.store, prompt,
        step=job.state.step, context=config.seq_len, seed=config.seed,
    )  # fmt: skip


def summarise(
    job: Job,
    epochs: list[Epoch],
    rescues: list[Rescue],
    samples: list[Sample],
    overfitting: Overfitting | None = None,
    finished: bool = False,
) -> Summary:
    """The outcome of `job` so far."""
    best = min(epochs, key=lambda e: e.validation_loss)
    batches = job.course.batches
    ladder = job.store.info.ladder
    return Summary(
        model_dir=str(job.folder),
        parameters=sum(p.numel() for p in job.state.model.parameters()),
        seconds=job.state.seconds,
        tokens_per_second=job.state.step * batches.tokens_per_step / max(job.state.seconds, 1e-9),
        epochs=epochs,
        best_epoch=best.epoch,
        validation_loss=best.validation_loss,
        validation_accuracy=best.validation_accuracy,
        bits_per_byte=best.bits_per_byte,
        loss_ladder={"uniform": ladder.uniform, "unigram": ladder.unigram, "bigram": ladder.bigram},
        finished=finished,
        samples=samples,
        rescues=rescues,
        overfitting=overfitting,
        continued=job.info.parent is not None,
        loss_before=job.info.parent_loss,
        passes=batches.passes(job.state.step),
    )


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
