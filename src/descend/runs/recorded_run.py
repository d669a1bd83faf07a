"""A run folder opened for reading: its metadata, its events, and small sums over them.

Each part is read once, when it is first requested. Nothing here judges, trains, or reads the text.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Self

import msgspec

from descend.artifacts import RUN_FILE
from descend.config import RunConfig, make_config
from descend.errors import ConfigError, RunFolderError
from descend.machine import Execution
from descend.model.shape import ModelShape, shape_from_run_config
from descend.runs.checkpoint_folders import latest_checkpoint
from descend.runs.event_log import EVENTS, event_problems, read_events
from descend.runs.events import Epoch, Event, Rollback, Step, TrainingStopped, WeightUpdateStats
from descend.runs.folder_errors import not_a_run_error
from descend.runs.run_files import RunMetadata, RunSummary, is_finished, read_info
from descend.runs.run_folder import read_summary
from descend.runs.run_length import announced_end_step, planned_steps
from descend.runs.suggestions import suggest_fix

MAX_THREADS = 4096
"""Most threads that a run of a folder may ask for: more than any machine has."""


def read_config(folder: Path, info: RunMetadata) -> RunConfig:
    """Return the resolved configuration in the run.json of `folder`.

    `RunFolderError` for a value that none can have: it is that of a file, and nobody chose it.
    """
    try:
        return make_config(info.resolved_config)
    except ConfigError as problem:
        raise RunFolderError(
            str(folder / RUN_FILE), f"{problem.location} {problem.actual}", problem.expected,
            "restore it from a copy or train again",
        ) from None  # fmt: skip


@dataclass(frozen=True)
class RecordedRun:
    """Holds what a run folder records, for diagnosis, forecast, handbook, and report."""

    folder: Path

    def with_parts(self, **parts: object) -> Self:
        """Return this run with these parts in place of what its files hold."""
        copy = replace(self)
        vars(copy).update(parts)
        return copy

    @cached_property
    def metadata(self) -> RunMetadata:
        """Return what run.json says."""
        return read_info(self.folder)

    @cached_property
    def config(self) -> RunConfig:
        """Return the resolved configuration: every key that was not set has its value."""
        return read_config(self.folder, self.metadata)

    @cached_property
    def events(self) -> list[Event]:
        """Return the events of events.jsonl, without the steps that a rollback undid."""
        return read_events(self.folder)

    @cached_property
    def event_problems(self) -> tuple[str, ...]:
        """Return sentences on what is damaged in, or missing from, events.jsonl."""
        return event_problems(self.folder)

    @cached_property
    def summary(self) -> RunSummary:
        """Return what summary.json says; `RunFolderError` before the first epoch ends."""
        return read_summary(self.folder)

    @cached_property
    def finished(self) -> bool:
        """Return whether the run came to its end and saved its model."""
        return is_finished(self.folder)

    @cached_property
    def checkpoint(self) -> Path | None:
        """Return the newest checkpoint whose files are whole, or None."""
        return latest_checkpoint(self.folder)

    @cached_property
    def execution(self) -> Execution:
        """Return how the run computed."""
        try:
            execution = msgspec.convert(self.metadata.execution, Execution)
            if not 1 <= execution.threads <= MAX_THREADS:
                raise msgspec.ValidationError(f"{execution.threads} threads")
            return execution
        except msgspec.ValidationError as problem:
            raise RunFolderError(
                str(self.folder / RUN_FILE), f"an execution that cannot be ({problem})",
                "what descend wrote there", "restore it from a copy or train again",
            ) from None  # fmt: skip

    @cached_property
    def vocab_size(self) -> int:
        """Return the tokens of the run's tokenizer."""
        return self.corpus_count("vocab_size")

    @cached_property
    def shape(self) -> ModelShape:
        """Return the shape of the model."""
        return shape_from_run_config(self.config, self.vocab_size, self.metadata.network)

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """Return one event per optimizer step."""
        return tuple(e for e in self.events if isinstance(e, Step))

    @cached_property
    def weight_updates(self) -> tuple[WeightUpdateStats, ...]:
        """Return one event per 25 optimizer steps."""
        return tuple(e for e in self.events if isinstance(e, WeightUpdateStats))

    @cached_property
    def epochs(self) -> tuple[Epoch, ...]:
        """Return one event per epoch."""
        return tuple(e for e in self.events if isinstance(e, Epoch))

    @cached_property
    def rollbacks(self) -> tuple[Rollback, ...]:
        """Return one event per rollback."""
        return tuple(e for e in self.events if isinstance(e, Rollback))

    @cached_property
    def stopped(self) -> TrainingStopped | None:
        """Return the last event that ended training, or None."""
        stops = [e for e in self.events if isinstance(e, TrainingStopped) and e.reason != "paused"]
        return stops[-1] if stops else None

    @property
    def diverged(self) -> bool:
        """Return whether training ended because its loss was not finite or exploded."""
        return self.stopped is not None and self.stopped.reason == "diverged"

    @property
    def best_epoch(self) -> Epoch:
        """Return the epoch of the lowest validation loss, whose weights the model has."""
        return min(self.epochs, key=lambda e: e.validation_loss)

    @property
    def num_steps(self) -> int:
        """Return the number of the last optimizer step."""
        return self.steps[-1].step if self.steps else 0

    @property
    def total_steps(self) -> int:
        """Return the steps of the whole run: made, announced by an event, or else planned."""
        if self.finished and self.steps:
            return self.num_steps
        announced = [end for e in self.events if (end := announced_end_step(e)) is not None]
        if announced:
            return announced[-1]
        return planned_steps(self.config, self.corpus_count("train_tokens"))

    @property
    def peak_learning_rate(self) -> float:
        """Return the highest learning rate of a step, or 0 before the first."""
        return max((s.learning_rate for s in self.steps), default=0.0)

    @property
    def tokens_per_step(self) -> int:
        """Return the tokens predicted in one optimizer step."""
        return self.config.batch_size * self.config.seq_len

    @property
    def seconds_per_step(self) -> float:
        """Return the median seconds of a step, or 0 before the first.

        The median leaves out a computer that slept in the midst of a step.
        """
        return statistics.median(s.seconds for s in self.steps) if self.steps else 0.0

    @property
    def estimated_total_seconds(self) -> float:
        """Return the training time (s) of the whole run, had it come to its end."""
        return self.seconds_per_step * max(self.total_steps, len(self.steps))

    @property
    def training_seconds(self) -> float:
        """Return the training time (s) that a finished run reports, else the estimate."""
        return self.summary.seconds if self.finished else self.estimated_total_seconds

    @property
    def ngram_baselines(self) -> dict[str, float]:
        """Return the validation losses (nats per token) of uniform, unigram, and bigram models."""
        return self.summary.ngram_baselines

    @property
    def bytes_per_token(self) -> float:
        """Return the bytes of a token of the validation set."""
        tokens = max(self.corpus_count("validation_tokens"), 1)
        return self.corpus_count("validation_bytes") / tokens

    def corpus_count(self, key: str) -> int:
        """Return a count of the corpus, such as `train_tokens`."""
        return int(self.metadata.corpus[key])

    @cached_property
    def update_ratios(self) -> dict[str, float]:
        """Return the median update-to-weight ratio of each matrix after warmup.

        Where nothing came after warmup, all records count. A matrix that starts at zero counts
        from its second record on, since a ratio to zero says nothing.
        """
        warmup = self.config.warmup_steps or 0
        records = [w for w in self.weight_updates if w.step > warmup] or self.weight_updates
        ratios: dict[str, list[float]] = {}
        for record in records:
            for name, ratio in record.update_to_weight_ratio.items():
                if record.weight_rms.get(name, 0.0) > 0:
                    ratios.setdefault(name, []).append(ratio)
        return {name: statistics.median(values) for name, values in ratios.items()}

    @cached_property
    def gradient_norms(self) -> list[float]:
        """Return the norm of all gradients before clipping, of each step that was made."""
        return [s.gradient_norm for s in self.steps if s.gradient_norm is not None]

    @property
    def clipped_step_fraction(self) -> float:
        """Return the fraction of steps whose gradients were clipped."""
        return sum(s.clipped for s in self.steps) / max(len(self.steps), 1)


def open_recorded_run(folder: Path) -> RecordedRun:
    """Open the run in `folder`; `RunFolderError` if it holds none or its metadata is damaged."""
    if not folder.is_dir():
        raise not_a_run_error(folder, RUN_FILE, model=False)
    run = RecordedRun(folder)
    _ = run.config  # A damaged run.json is reported now, not later.
    return run


def open_run_with_epoch(folder: Path) -> RecordedRun:
    """Open the run in `folder`; `RunFolderError` if it has not finished an epoch, or its steps are
    lost."""
    run = RecordedRun(folder)
    _ = run.config, run.events
    if not run.epochs:
        raise RunFolderError(
            str(folder), "a run that has not finished its first epoch", "at least one epoch",
            suggest_fix(folder),
        )  # fmt: skip
    if not run.steps:
        raise RunFolderError(
            str(folder / EVENTS), "no step that can be read", "at least one",
            "restore it from a copy or train again",
        )  # fmt: skip
    return run
