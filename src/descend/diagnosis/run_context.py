"""A recorded run opened for diagnosis: with the text that it trained on, where that is there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from descend.config import RunConfig
from descend.data.batches import BatchSampler
from descend.data.text_shape import measure_text_shape
from descend.data.token_store import TokenStore
from descend.diagnosis.text_warnings import describe_text_shape
from descend.errors import DescendError, RunFolderError, TextChangedError
from descend.progress import ProgressCallback, ignore_progress
from descend.runs.recorded_run import RecordedRun, open_recorded_run
from descend.runs.run_files import RunMetadata, weights_path
from descend.runs.run_text import open_run_text
from descend.runs.suggestions import suggest_fix
from descend.training.explosion import loss_of_explosion
from descend.training.rollback import SPIKE_PATIENCE_STEPS


@dataclass(frozen=True)
class RunContext(RecordedRun):
    """Holds what is known of a run before anything is measured.

    `store` is None where the text is gone or has changed. `warnings` says so.
    """

    store: TokenStore | None
    warnings: tuple[str, ...]

    @property
    def had_divergence(self) -> bool:
        """Return whether the run diverged at any time, even if a rollback saved it or its loss
        stayed finite."""
        return self.diverged or bool(self.rollbacks) or self.first_exploded_step is not None

    @property
    def first_exploded_step(self) -> int | None:
        """Return the first step with a loss far above that of guessing, if the run ended so."""
        limit = loss_of_explosion(self.shape.vocab_size)
        if not self.steps or any(s.loss <= limit for s in self.steps[-SPIKE_PATIENCE_STEPS:]):
            return None
        return next(s.step for s in self.steps if not s.loss <= limit)

    @property
    def lacks_parent(self) -> bool:
        """Return whether the model that the run trained further is gone."""
        parent = self.metadata.parent
        return parent is not None and not weights_path(Path(parent)).is_file()

    @property
    def num_epochs(self) -> float:
        """Return how often the run was to read its text; the last epoch may be a part of one."""
        if self.store is None or not self.config.max_steps:
            return float(self.config.epoch or 1)
        return self.batches.epochs_at_step(self.total_steps)

    @property
    def batches(self) -> BatchSampler:
        """Return the run's own batches; needs the text."""
        assert self.store is not None
        config = self.config
        return BatchSampler(self.store.train, config.seq_len, config.batch_size, config.seed)


def load_run_context(folder: Path, progress: ProgressCallback = ignore_progress) -> RunContext:
    """Read the run in `folder`; `RunFolderError` where there is nothing to diagnose."""
    run = open_recorded_run(folder)
    if not run.steps and run.stopped is None:
        raise RunFolderError(
            str(folder), "a run that never took a step", "at least its first records",
            suggest_fix(folder),
        )  # fmt: skip
    store, warnings = _load_text(folder, run.config, run.metadata, progress)
    warnings = (*run.event_problems, *warnings)
    if not run.finished and not run.diverged:
        warnings = (*warnings, f"the run is not finished: it is at step {len(run.steps)}")
    return RunContext(folder, store, warnings).with_parts(**vars(run))  # read once


def _load_text(
    folder: Path, config: RunConfig, metadata: RunMetadata, progress: ProgressCallback
) -> tuple[TokenStore | None, tuple[str, ...]]:
    """Return the tokens that the run trained on, or None and why they cannot be had."""
    try:
        store = open_run_text(folder, metadata, progress)
        return store, tuple(describe_text_shape(measure_text_shape(store)))
    except TextChangedError:
        return None, (
            f"the text at {config.corpus_dir} changed since the run trained on it, so only "
            "recorded metrics are used",
        )
    except DescendError as problem:
        return None, (
            f"the text that the run trained on cannot be read ({problem.location}: "
            f"{problem.actual}), so only recorded metrics are used",
        )
