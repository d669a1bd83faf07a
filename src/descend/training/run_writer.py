"""Who writes the run folder: rank 0, under its lock. Other processes write nothing."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from descend.artifacts import RUN_FILE
from descend.errors import RunFolderError, RunLockedError
from descend.runs.atomic_write import write_file_atomic
from descend.runs.checkpoint_folders import CHECKPOINTS, latest_checkpoint
from descend.runs.event_log import EVENTS, EventLog
from descend.runs.events import Event, Sample
from descend.runs.lock import LockedRunFolder, lock_run_folder
from descend.runs.model_files import save_model
from descend.runs.pause_request import is_pause_requested, withdraw_pause
from descend.runs.run_files import (
    TOKENIZER,
    WEIGHTS,
    RunMetadata,
    RunSummary,
    has_summary,
    is_finished,
    is_run_folder,
    write_info,
    write_summary,
)
from descend.runs.saved_weights import remove_snapshots_after
from descend.runs.suggestions import lacks_model
from descend.training.checkpoint import encode_state, save_checkpoint
from descend.training.process_group import is_sharded
from descend.training.text_samples import generate_sample
from descend.training.train_state import TrainState
from descend.training.training_run import TrainingRun
from descend.training.weight_snapshots import keep_snapshot

_log = logging.getLogger("descend")


class RunWriter:
    """What a process does with the results of a run; this one does nothing."""

    def check(self) -> None:
        """Raise `DiskWriteError` if the run folder is gone."""

    def is_pause_requested(self) -> bool:
        """Return whether the run is to wait; rank 0 decides."""
        return False

    def append(self, event: Event) -> None:
        """Write an event into the log."""

    def write_summary(self, summary: RunSummary) -> None:
        """Write summary.json."""

    def save_checkpoint(self) -> None:
        """Write the state of the run."""

    def keep_snapshot(self) -> None:
        """Keep a small copy of the weights, if one is due."""

    def remove_snapshots_after(self, step: int) -> None:
        """Remove the copies of steps that a rollback undid."""

    def generate_sample(self, prompt: str) -> list[Sample]:
        """Let the model continue `prompt`; none where nobody would read it."""
        return []

    def save_model(self, info: RunMetadata, summary: RunSummary) -> None:
        """Write the finished model with its summary."""


class ShardWriter(RunWriter):
    """Writes nothing, and gives rank 0 the own rows for what is saved."""

    def __init__(self, state: TrainState) -> None:
        self._state = state

    def save_checkpoint(self) -> None:
        """Take part in gathering the state."""
        for _ in encode_state(self._state):
            pass


class FolderWriter(RunWriter):
    """Writes into a run folder that this process has locked."""

    def __init__(self, run: TrainingRun, locked_folder: LockedRunFolder, log: EventLog) -> None:
        self._run, self._locked_folder, self._log = run, locked_folder, log

    def begin(self) -> None:
        """Write what is known before the first step of a new run."""
        run = self._run
        if run.state.step == 0:
            write_info(run.folder, run.info)
            write_file_atomic(run.folder / TOKENIZER, run.store.tokenizer.to_bytes())

    def check(self) -> None:
        """Write records again that were deleted; `DiskWriteError` if the run folder is gone."""
        self._locked_folder.check()
        folder = self._run.folder
        restored = [EVENTS] if self._log.restore() else []
        restored += [name for name in (RUN_FILE, TOKENIZER) if not (folder / name).exists()]
        if RUN_FILE in restored:
            write_info(folder, self._run.info)
        if TOKENIZER in restored:
            write_file_atomic(folder / TOKENIZER, self._run.store.tokenizer.to_bytes())
        for name in restored:
            _log.warning("%s: deleted or replaced during the run, and written again", folder / name)

    def is_pause_requested(self) -> bool:
        """Return whether the run is to wait between two steps."""
        return is_pause_requested(self._run.folder)

    def append(self, event: Event) -> None:
        """Write an event into the log."""
        self._log.append(event)

    def write_summary(self, summary: RunSummary) -> None:
        """Write summary.json."""
        write_summary(self._run.folder, summary)

    def save_checkpoint(self) -> None:
        """Write the state of the run into checkpoints/."""
        save_checkpoint(self._run.folder, self._run.state)

    def keep_snapshot(self) -> None:
        """Keep a small copy of the weights in snapshots/, if one is due."""
        keep_snapshot(self._locked_folder, self._run.state.step, self._run.state.model)

    def remove_snapshots_after(self, step: int) -> None:
        """Remove the copies of steps that a rollback undid."""
        remove_snapshots_after(self._run.folder, step)

    def generate_sample(self, prompt: str) -> list[Sample]:
        """Let the model continue `prompt`; none where its logits are not finite.

        The next step or save finds that, and goes back. While processes divide the weights, none
        of them has a model that could write.
        """
        run, config = self._run, self._run.plan.config
        if is_sharded(run.state.model):
            return []
        try:
            sample = generate_sample(
                run.state.model, run.store, prompt,
                step=run.state.step, context=config.seq_len, seed=config.seed,
            )  # fmt: skip
        except RunFolderError:
            return []
        return [sample]

    def save_model(self, info: RunMetadata, summary: RunSummary) -> None:
        """Write the finished model with its summary."""
        run = self._run
        if info != run.info:
            write_info(run.folder, info)
        save_model(run.folder, run.state.model, run.store.tokenizer, info, summary)
        write_summary(run.folder, summary)


@contextmanager
def open_run_writer(run: TrainingRun) -> Iterator[FolderWriter]:
    """Lock the folder of `run` and open its log.

    Raises `RunLockedError` if another process wrote to the folder since `run` was made.
    """
    with lock_run_folder(run.folder) as locked_folder:
        _check_unchanged(run)  # under the lock: before it, another run may still begin
        withdraw_pause(run.folder)  # one that an ended process left
        try:
            with closing(EventLog(run.folder)) as log:
                yield FolderWriter(run, locked_folder, log)
        finally:
            withdraw_pause(run.folder)


def _check_unchanged(run: TrainingRun) -> None:
    """Raise `RunLockedError` if another process wrote to the folder of `run` since it was made."""
    folder: Path = run.folder
    if run.resume_point is None:
        places = [folder / name for name in (EVENTS, CHECKPOINTS, WEIGHTS)]
        changed = is_run_folder(folder) or has_summary(folder) or any(p.exists() for p in places)
        problem, what_to_do = "a run that another process began", "choose another save_dir"
    else:
        finished = is_finished(folder) and not lacks_model(folder)
        changed = finished or latest_checkpoint(folder) != run.resume_point.checkpoint
        problem, what_to_do = "a run that another process took up meanwhile", "resume it again"
    if changed:
        raise RunLockedError(str(folder), problem, "the folder as it was at the start", what_to_do)
