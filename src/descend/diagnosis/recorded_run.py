"""A run opened for examination: whatever of it there is, finished or not."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from pathlib import Path

import msgspec

from descend.config import RunConfig, make_config
from descend.data.batches import BatchSampler
from descend.data.token_store import TokenStore
from descend.errors import DescendError, RunFolderError, TextChangedError
from descend.machine import Execution
from descend.model.shape import ModelShape, shape_from_run_config
from descend.progress import ProgressCallback, ignore_progress
from descend.runs.event_log import event_problems, read_events
from descend.runs.events import Epoch, Rollback, Step, TrainingStopped, WeightUpdateStats
from descend.runs.run_files import RunMetadata, is_finished, latest_checkpoint, read_info
from descend.runs.run_text import open_run_text
from descend.runs.suggestions import suggest_fix
from descend.training.recipe import count_total_steps
from descend.training.rollback import MIN_SPIKE_NATS, SPIKE_PATIENCE_STEPS


@dataclass(frozen=True)
class RecordedRun:
    """What is known of a run before anything is measured.

    `store` is None where the text is gone or is not what was trained on; `notes` says so.
    """

    folder: Path
    info: RunMetadata
    config: RunConfig
    """As resolved: every open key filled in."""
    execution: Execution
    shape: ModelShape
    steps: tuple[Step, ...]
    matrices: tuple[WeightUpdateStats, ...]
    epochs: tuple[Epoch, ...]
    rollbacks: tuple[Rollback, ...]
    stopped: TrainingStopped | None
    finished: bool
    checkpoint: Path | None
    store: TokenStore | None
    warnings: tuple[str, ...]

    @property
    def diverged(self) -> bool:
        """Whether training ended because its numbers ran away."""
        return self.stopped is not None and self.stopped.reason == "diverged"

    @property
    def had_divergence(self) -> bool:
        """Whether its numbers did so at any time, even if it was rescued, or they never ceased to
        be numbers."""
        return self.diverged or bool(self.rollbacks) or self.first_exploded_step is not None

    @property
    def first_exploded_step(self) -> int | None:
        """The first step of those with a loss far above that of guessing, if the run ended among
        them: so ends an explosion that was let go on."""
        far = divergence_threshold(self.shape.vocab_size)
        if not self.steps or any(s.loss <= far for s in self.steps[-SPIKE_PATIENCE_STEPS:]):
            return None
        return next(s.step for s in self.steps if not s.loss <= far)

    @property
    def total_steps(self) -> int:
        """Steps that the run was to make; those it made where the text is gone, or where it came
        to its end before, since it overfitted."""
        if self.store is None or self.config.epoch is None:
            return len(self.steps)
        if self.finished and self.steps:
            return min(self.steps[-1].step, count_total_steps(self.config, self.batches))
        return count_total_steps(self.config, self.batches)

    @property
    def num_epochs(self) -> float:
        """How often the run was to read its text; the last pass may be a part of one."""
        if self.store is None or not self.config.max_steps:
            return float(self.config.epoch or 1)
        return self.batches.epochs_at_step(self.total_steps)

    @property
    def batches(self) -> BatchSampler:
        """The run's own batches; needs the text."""
        assert self.store is not None
        config = self.config
        return BatchSampler(self.store.train, config.seq_len, config.batch_size, config.seed)

    @property
    def tokens_per_step(self) -> int:
        """Tokens predicted in one step."""
        return self.config.batch_size * self.config.seq_len

    @property
    def seconds_per_step(self) -> float:
        """As the run itself recorded it, the median: a computer that slept in the midst of a step
        does not make all of them slow. 0 before the first step."""
        return statistics.median(s.seconds for s in self.steps) if self.steps else 0.0

    @property
    def estimated_total_seconds(self) -> float:
        """Training time of the whole run, had it come to its end."""
        return self.seconds_per_step * max(self.total_steps, len(self.steps))


def divergence_threshold(vocab_size: int) -> float:
    """Loss (nats per token) above which numbers have run away: a nat over that of no knowledge."""
    return math.log(vocab_size) + MIN_SPIKE_NATS


def load_recorded_run(folder: Path, progress: ProgressCallback = ignore_progress) -> RecordedRun:
    """Read the run in `folder`; `RunFolderError` where there is nothing to examine."""
    if not folder.is_dir():
        raise RunFolderError(
            str(folder), "no such folder", "the folder of a descend run", "check the path"
        )
    info = read_info(folder)
    config = make_config(info.resolved_config)
    records = read_events(folder)
    steps = tuple(r for r in records if isinstance(r, Step))
    stops = [r for r in records if isinstance(r, TrainingStopped)]
    if not steps and not stops:
        raise RunFolderError(
            str(folder), "a run that never took a step", "at least its first records",
            suggest_fix(folder),
        )  # fmt: skip
    store, warnings = _text(folder, config, info, progress)
    warnings = (*event_problems(folder), *warnings)
    vocab_size = store.tokenizer.vocab_size if store else int(info.corpus["vocab_size"])
    finished = is_finished(folder)
    if not finished and not (stops and stops[-1].reason == "diverged"):
        warnings = (*warnings, f"the run is not finished: it stands at step {len(steps)}")
    return RecordedRun(
        folder=folder,
        info=info,
        config=config,
        execution=msgspec.convert(info.execution, Execution),
        shape=shape_from_run_config(config, vocab_size),
        steps=steps,
        matrices=tuple(r for r in records if isinstance(r, WeightUpdateStats)),
        epochs=tuple(r for r in records if isinstance(r, Epoch)),
        rollbacks=tuple(r for r in records if isinstance(r, Rollback)),
        stopped=stops[-1] if stops else None,
        finished=finished,
        checkpoint=latest_checkpoint(folder),
        store=store,
        warnings=warnings,
    )


def _text(
    folder: Path, config: RunConfig, info: RunMetadata, progress: ProgressCallback
) -> tuple[TokenStore | None, tuple[str, ...]]:
    """The tokens that the run trained on, or why they cannot be had."""
    try:
        return open_run_text(folder, info, progress), ()
    except TextChangedError:
        return None, (
            f"the text at {config.corpus_dir} changed since the run trained on it, so nothing "
            "could be tried on it: what follows is read from the records alone",
        )
    except DescendError as problem:
        return None, (
            f"the text that the run trained on cannot be read ({problem}) so nothing could be "
            "tried on it: what follows is read from the records alone",
        )
