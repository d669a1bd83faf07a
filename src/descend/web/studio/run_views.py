"""Runs as the interface shows them: a line of the list, and everything about one."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from descend.artifacts import RUN_FILE
from descend.errors import RunFolderError
from descend.model.cost import parameter_count
from descend.report.text.live_sentence import (
    COULD_NOT_GO_ON,
    ENDED_BEFORE_IT_BEGAN,
    HALTED,
    LACKS_A_FILE,
    WAITS,
    describe_learning,
    describe_preparation,
    describe_teacher,
    describe_trend,
)
from descend.report.text.run_summary import (
    format_accuracy_baselines,
    format_ngram_baselines,
    short_remark,
    what_it_means,
)
from descend.runs.annotation import read_annotation
from descend.runs.checkpoint_folders import checkpoints
from descend.runs.epochs_read import count_epochs_read
from descend.runs.event_tail import last_start_or_stop
from descend.runs.events import TrainingStarted, TrainingStopped
from descend.runs.lock import is_run_locked
from descend.runs.planned_models import find_models
from descend.runs.recorded_run import RecordedRun
from descend.runs.run_files import (
    RunMetadata,
    RunSummary,
    has_diagnosis,
    has_summary,
    is_run_folder,
    read_info,
    run_stamp,
)
from descend.runs.run_folder import read_summary
from descend.runs.run_length import planned_steps
from descend.runs.suggestions import lacks_model
from descend.web.studio.feed import RunFeed
from descend.web.studio.jobs import Job, Jobs, elapsed_seconds
from descend.web.studio.settings import FIRST
from descend.web.studio.workspace import Workspace, is_name

State = Literal[
    "waiting", "starting", "running", "paused", "finished", "stopped", "diverged", "failed",
    "model lost", "unreadable",
]  # fmt: skip
AT_REST = ("finished", "stopped", "diverged", "failed", "model lost")
"""States that last until something is written."""
TRAINS = ("train", "resume")
FAILURES = (1, 2)
"""Exit codes of a process that could not do its work; others end by a signal."""

PLACES = ("corpus_dir", "save_dir", "log_level")
"""Keys that say where a run lies and what it read, not how it learns."""

MAX_FEEDS = 30
"""Feeds in memory; each is as large as its curve."""


class RunRow(msgspec.Struct, kw_only=True):
    """A run in the list."""

    name: str
    state: State
    text: str = ""
    started_at: str = ""
    """ISO 8601."""
    parameters: int | None = None
    epochs: float = 0.0
    """How often its text was read; below one for a part of the text."""
    validation_loss: float | None = None
    """Nats per token."""
    bits_per_byte: float | None = None
    accuracy: float | None = None
    bigram_accuracy: float | None = None
    """Accuracy of the bigram baseline on the same text."""
    seconds: float | None = None
    parent: str | None = None
    """The run whose model this one trained further, or whose settings it began from."""
    tags: list[str] = []
    note: str = ""
    settings: dict[str, Any] = {}
    """Of its configuration, the keys that are not alike in all runs, the best known first."""
    can_talk: bool = False
    has_diagnosis: bool = False
    remark: str = ""
    """What is wrong by its result, in a few words; empty where nothing is."""


class RunViews:
    """Reads runs of a workspace, and keeps what did not change since."""

    def __init__(self, workspace: Workspace, jobs: Jobs) -> None:
        self._workspace, self._jobs = workspace, jobs
        self._rows: dict[str, tuple[object, RunRow]] = {}
        self._feeds: dict[Path, RunFeed] = {}

    def feed(self, name: str) -> RunFeed:
        """Return the events of the run `name`, which may not have begun."""
        folder = self._workspace.run_path(name)
        if folder not in self._feeds:
            while len(self._feeds) >= MAX_FEEDS:
                del self._feeds[next(iter(self._feeds))]
            self._feeds[folder] = RunFeed(folder)
        feed = self._feeds[folder]
        feed.poll()
        return feed

    def forget(self, name: str) -> None:
        """Forget what was read of the run `name`."""
        self._feeds.pop(self._workspace.run_path(name), None)
        self._rows.pop(name, None)

    def rows(self) -> list[RunRow]:
        """Return every run, and every job that is no run yet, the newest first."""
        runs = self._workspace.runs
        names = [path.parent.name for path in runs.glob(f"*/{RUN_FILE}")] if runs.is_dir() else []
        rows = [self._row(name) for name in names if not (runs / name).is_symlink()]
        known = set(names)
        rows += [
            RunRow(
                name=job.run, state=self._job_state(job), text=job.text,
                started_at=_iso(job.began_at or job.queued_at), parent=job.origin,
            )
            for job in self._jobs.all()
            if job.run not in known and job.kind in TRAINS
        ]  # fmt: skip
        keys = _differing_keys([row.settings for row in rows if row.settings])
        rows = [
            msgspec.structs.replace(row, settings={k: row.settings.get(k) for k in keys})
            if row.settings else row
            for row in rows
        ]  # fmt: skip
        return sorted(rows, key=lambda row: row.started_at, reverse=True)

    def _row(self, name: str) -> RunRow:
        if not is_name(name):  # no route leads to it
            return RunRow(name=name, state="unreadable")
        folder = self._workspace.runs / name
        stamp, job = run_stamp(folder), self._jobs.get(name)
        known = self._rows.get(name)
        if known is None or known[0] != stamp:
            known = (stamp, _read_row(folder))
            is_old = False
        else:
            is_old = known[1].state in AT_REST and (job is None or job.ended_at is not None)
        row = known[1]
        if row.state != "unreadable" and not is_old:
            row.state = self.state(name)
        row.parent = row.parent or (job.origin if job else None)
        self._rows[name] = known
        return row

    def state(self, name: str) -> State:
        """Return what the run `name` does now."""
        job, folder = self._jobs.get(name), self._workspace.run_path(name)
        if job is not None and job.kind in TRAINS and job.ended_at is None:
            if job.began_at is None:
                return "waiting"
            event = last_start_or_stop(folder)
            # The end of an earlier process: this one has not begun to train yet.
            is_before = isinstance(event, TrainingStopped) and event.time < _iso(job.began_at)
            if is_before or not is_run_folder(folder):
                return "starting"
            return "paused" if _is_paused(event) else "running"
        if not is_run_folder(folder):
            return "stopped" if find_models(folder) else "failed"
        event = last_start_or_stop(folder)
        if not isinstance(event, TrainingStopped) or _is_paused(event):
            if is_run_locked(folder):
                return "paused" if _is_paused(event) else "running"
            return "stopped"
        if event.reason == "finished":
            return "model lost" if lacks_model(folder) else "finished"
        return event.reason if event.reason in ("diverged", "failed") else "stopped"

    def _job_state(self, job: Job) -> State:
        if job.ended_at is not None:
            return "stopped" if find_models(self._workspace.run_path(job.run)) else "failed"
        return "waiting" if job.began_at is None else "starting"

    def details(self, name: str) -> dict[str, Any]:
        """Return everything about the run `name` but its curve."""
        job, folder = self._jobs.get(name), self._workspace.run_path(name)
        if not is_run_folder(folder) and job is None:
            self._workspace.run_folder(name)  # raises
        feed, state = self.feed(name), self.state(name)
        fields: dict[str, Any] = {
            "name": name, "state": state, "log": self._jobs.log(name),
            "job": None if job is None else msgspec.to_builtins(job), "num_steps": feed.step,
            "models": list_models(folder),
        }  # fmt: skip
        if not is_run_folder(folder):
            return fields | {"sentence": self._sentence(name, state, feed, None, None)}
        run = RecordedRun(folder)
        metadata = run.metadata
        summary = read_summary(folder) if has_summary(folder) else None
        total = feed.end_step or planned_steps(run.config, run.corpus_count("train_tokens"))
        baselines = metadata.corpus.get("ngram_baselines")
        return fields | {
            "text": Path(str(metadata.corpus["corpus"])).name,
            "started_at": metadata.saved_at,
            "preset": metadata.preset,
            "requested_config": metadata.requested_config,
            "resolved_config": metadata.resolved_config,
            "execution": metadata.execution,
            "corpus": metadata.corpus,
            "baselines": baselines,
            "baselines_text": baselines and _baselines_text(baselines),
            "parent": Path(metadata.parent).name if metadata.parent else job and job.origin,
            "parameters": parameter_count(run.shape),
            "total_steps": total,
            "progress": self._progress(name, feed, state, metadata, total),
            "summary": None if summary is None else _summary_fields(summary),
            "sentence": self._sentence(name, state, feed, metadata, summary),
            "can_talk": _can_talk(folder),
            "has_model": not lacks_model(folder),
            "has_diagnosis": has_diagnosis(folder),
            "annotation": read_annotation(folder),
        }

    def _progress(
        self, name: str, feed: RunFeed, state: State, metadata: RunMetadata, total: int
    ) -> dict[str, Any]:
        """Return how far it is: a fraction from 0 to 1, seconds left, tokens per second."""
        config, each = metadata.resolved_config, feed.seconds_per_step
        tokens = int(config["batch_size"]) * int(config["seq_len"])
        job, minutes = self._jobs.get(name), config.get("minutes")
        fraction = min(1.0, feed.step / max(total, 1))
        seconds_left = feed.seconds_left(total)
        if minutes and job and job.kind == "train" and job.began_at and job.ended_at is None:
            elapsed = max(0.0, elapsed_seconds(job) - feed.paused_seconds(time.time()))
            fraction = min(1.0, elapsed / (60 * minutes))
            seconds_left = max(0.0, 60 * minutes - elapsed)
        if state == "finished":
            fraction, seconds_left = 1.0, 0.0
        return {
            "fraction": fraction, "seconds_left": seconds_left,
            "tokens_per_second": None if not each else tokens / each,
        }  # fmt: skip

    def _sentence(
        self, name: str, state: State, feed: RunFeed, metadata: RunMetadata | None,
        summary: RunSummary | None,
    ) -> str:  # fmt: skip
        """Return how it goes, in a sentence or two."""
        if state == "waiting":
            return WAITS
        if state == "model lost":
            return LACKS_A_FILE
        if state == "failed" or (state == "diverged" and summary is None):
            lines = self._jobs.log(name)
            return lines[-1] if lines else ENDED_BEFORE_IT_BEGAN
        if metadata is None and (models := find_models(self._workspace.run_path(name))):
            return describe_teacher(models.teachers[-1].name, is_stopped=state == "stopped")
        job = self._jobs.get(name)
        if state == "stopped" and job and job.kind in TRAINS and job.exit_code in FAILURES:
            return (self._jobs.log(name) or [COULD_NOT_GO_ON])[-1]
        if state == "finished" and summary is not None:
            return what_it_means(summary)
        if not feed.points or metadata is None:
            lines = self._jobs.log(name)
            return describe_preparation(lines[-1] if lines else "")
        # After a pass over the text its training loss flatters: the text is known by then.
        loss = feed.epochs[-1].validation_loss if feed.epochs else feed.points[-1][2]
        said = describe_learning(loss, metadata.corpus["ngram_baselines"])
        trend = describe_trend([point[1] for point in feed.points]) if state == "running" else ""
        return " ".join(filter(None, [said, trend, HALTED.get(state, "")]))


def _is_paused(event: TrainingStarted | TrainingStopped | None) -> bool:
    return isinstance(event, TrainingStopped) and event.reason == "paused"


def compare_configs(metadata: Sequence[RunMetadata]) -> list[dict[str, Any]]:
    """Return the settings of several runs: key, values, and whether they differ."""
    keys = metadata[0].resolved_config
    rows = []
    for key in keys:
        values = [info.resolved_config.get(key) for info in metadata]
        if key not in ("save_dir", "log_level"):
            rows.append({"key": key, "values": values, "differs": any(
                value != values[0] for value in values
            )})  # fmt: skip
    return rows


def _differing_keys(configs: Sequence[dict[str, Any]]) -> list[str]:
    """Return keys whose values are not the same in all of `configs`, the best known first."""
    if not configs:
        return []
    keys = [key for key in configs[0] if key not in PLACES]
    differing = [k for k in keys if any(c.get(k) != configs[0].get(k) for c in configs)]
    return sorted(differing, key=lambda key: FIRST.index(key) if key in FIRST else len(FIRST))


def _read_row(folder: Path) -> RunRow:
    try:
        info = read_info(folder)
        summary = read_summary(folder) if has_summary(folder) else None
        annotation = read_annotation(folder)
        row = RunRow(
            name=folder.name, state="stopped", text=Path(str(info.corpus["corpus"])).name,
            started_at=info.saved_at,
            parent=Path(info.parent).name if info.parent else annotation.origin,
            can_talk=_can_talk(folder), has_diagnosis=has_diagnosis(folder),
            tags=annotation.tags, note=annotation.note,
            settings=info.resolved_config,
        )  # fmt: skip
    except (RunFolderError, KeyError, TypeError, ValueError):
        return RunRow(name=folder.name, state="unreadable")
    if summary is not None:
        row.parameters, row.epochs = summary.parameters, count_epochs_read(summary)
        row.validation_loss, row.accuracy = summary.validation_loss, summary.validation_accuracy
        row.bigram_accuracy = summary.accuracy_baselines.get("bigram")
        row.bits_per_byte, row.seconds = summary.bits_per_byte, summary.seconds
        row.remark = short_remark(summary)
    return row


def _can_talk(folder: Path) -> bool:
    """Return whether the run in `folder` has a model, or a checkpoint to be heard by."""
    return not lacks_model(folder) or bool(checkpoints(folder))


def _baselines_text(baselines: dict[str, Any]) -> str:
    """Return what counting reaches, in loss and, where it is recorded, in accuracy."""
    accuracies = {
        name: baselines[f"{name}_accuracy"]
        for name in ("unigram", "bigram")
        if baselines.get(f"{name}_accuracy") is not None
    }
    accuracy = format_accuracy_baselines(accuracies)
    return format_ngram_baselines(baselines) + (accuracy and f". B{accuracy[1:]}")


def _summary_fields(summary: RunSummary) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(summary)
    return {key: value for key, value in fields.items() if key != "model_dir"}


def _iso(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(seconds))


def read_metadata(folders: Sequence[Path]) -> list[RunMetadata]:
    """run.json of each of `folders`."""
    return [read_info(folder) for folder in folders]


def list_models(folder: Path) -> list[str]:
    """Return the names of the models that were planned together with the run in `folder`."""
    models = find_models(folder)
    return [] if models is None else [m.name for m in (*models.teachers, models.last)]
