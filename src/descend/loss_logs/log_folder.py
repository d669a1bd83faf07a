"""The log in a folder that a training program left: a Trainer's output folder, `lightning_logs`,
`wandb/latest-run`, TensorBoard's `runs`, `mlruns`, `mlflow.db`, and the log that belongs to a
checkpoint."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path

from descend.artifacts import ATTRIBUTION_FILE, COMPARISON_FILE, SEARCH_FILE
from descend.guard import is_regular_below
from descend.loss_logs.column_names import column_meaning
from descend.loss_logs.parsers.mlflow_database import FILE_NAMES
from descend.loss_logs.parsers.mlflow_metrics import mlflow_metrics_folder
from descend.runs.event_log import EVENTS
from descend.runs.run_files import has_model, is_run_folder

DEEPEST = 5
MAX_FILES = 5_000
MAX_FILES_TRIED = 40
_RECORDS = 3
"""Ranks up to it are of files with names that no other kind of file has."""
_NAMED = 5
"""Ranks up to it are of files with names that tell of a log."""
_TEXT = (".log", ".txt", ".out", ".err", ".stdout", ".csv", ".tsv", ".jsonl", ".json", ".md")
_NO_LOG = re.compile(
    r"^(vocab|tokenizer|config|generation_config|special_tokens|merges|requirements|added_tokens|"
    r"model\.safetensors\.index|preprocessor|adapter_config|hparams|wandb-metadata|package)",
    re.IGNORECASE,
)
_CHECKPOINT_SUFFIXES = (".ckpt", ".pt", ".pth", ".bin", ".safetensors", ".distcp")
_NUMBERED = re.compile(
    r"^(?:checkpoint|version|global_step|step|epoch|iter)[-_]?(\d+)$", re.IGNORECASE
)
"""Folders of one run, or of one series of runs, whose highest number is the last."""


def log_files(folder: Path) -> list[Path]:
    """Return files below `folder` that may hold a loss, the likeliest first.

    Of one kind the newest, and of numbered folders beside each other the highest number: copies
    lose their times.
    """
    ranked = [(rank, path) for path in _files(folder) if (rank := _rank(path)) is not None]
    newest: dict[tuple[int, Path], float] = {}
    for rank, path in ranked:
        key = rank, _series(path)[0]
        newest[key] = max(newest.get(key, 0.0), _written(path))
    ranked.sort(key=lambda entry: _order(entry[0], entry[1], newest))
    return [path for _, path in ranked][:MAX_FILES_TRIED]


def _order(
    rank: int, path: Path, newest: dict[tuple[int, Path], float]
) -> tuple[int, float, Path, float, float, Path]:
    series, number = _series(path)
    return rank, -newest[rank, series], series, -number, -_written(path), path


def _series(path: Path) -> tuple[Path, float]:
    """Return the folder that a file's numbered folder stands in, and the number; infinity where it
    has none, as the `trainer_state.json` of a whole run."""
    match = _NUMBERED.match(path.parent.name)
    return (path.parent.parent, float(match[1])) if match else (path.parent, math.inf)


def checkpoint_log_folder(path: Path) -> Path | None:
    """Return the folder with the log of the run that saved the checkpoint `path`; None if there is
    none.

    `path`: a file of weights, or a folder of them without a log. Lightning writes `checkpoints/`
    beside `metrics.csv`, the Trainer a log into each `checkpoint-N` that can be resumed from.
    """
    real = Path(os.path.realpath(path))  # unlike Path.resolve, no error for a loop of links
    if path.is_dir() and not (_NUMBERED.match(real.name) or real.name == "checkpoints"):
        return None  # a model, which may lie beside any log
    if not _is_checkpoint(path):
        return None
    parent = real.parent
    nearest = [parent, parent.parent] if path.is_file() else [parent]
    return next((folder for folder in nearest if _has_own_record(folder)), None)


def _is_checkpoint(path: Path) -> bool:
    if path.name.lower().endswith(_CHECKPOINT_SUFFIXES):
        return True
    names = [entry.name.lower() for entry in _entries(path)] if path.is_dir() else []
    return any(name.endswith(_CHECKPOINT_SUFFIXES) for name in names)


def _has_own_record(folder: Path) -> bool:
    """Return whether a record of a run lies in `folder` itself, or in a checkpoint there."""
    entries = _entries(folder)
    numbered = [entry for entry in entries if _NUMBERED.match(entry.name) and entry.is_dir()]
    inside = [file for entry in numbered for file in _entries(entry)]
    return any(
        (rank := _rank(entry)) is not None and rank <= _RECORDS and entry.is_file()
        for entry in (*entries, *inside)
    )


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())[:MAX_FILES]
    except OSError:
        return []


def holds_record(folder: Path) -> bool:
    """Return whether `folder` holds a file that only another program's run leaves."""
    return any((rank := _rank(path)) is not None and rank <= _RECORDS for path in _files(folder))


def holds_printed_log(folder: Path) -> bool:
    """Return whether a file directly in `folder` is named as the log of a run, whatever is beside
    it."""
    return any(
        (rank := _rank(path)) is not None and rank <= _NAMED and path.suffix.lower() != ".json"
        for path in _entries(folder)
    )


def _rank(path: Path) -> int | None:
    name = path.name.lower()
    if name == "trainer_state.json":
        return 0
    if name == "metrics.csv":
        return 1
    if "tfevents" in name:
        return 2
    if name.endswith(".wandb") or name in FILE_NAMES or _is_mlflow_loss(path):
        return 3
    if name.endswith(".jsonl"):
        return 4
    if name.endswith(_TEXT) and not _NO_LOG.match(name):
        return (
            5 if any(word in name for word in ("log", "output", "train", "metric", "loss")) else 6
        )
    return None


def _is_mlflow_loss(path: Path) -> bool:
    """Return whether a file is a loss among the metrics of an MLflow run."""
    folder = mlflow_metrics_folder(path)
    meaning = column_meaning(path.relative_to(folder).as_posix()) if folder else None
    return meaning is not None and meaning.role == "loss"


def _files(folder: Path) -> Iterator[Path]:
    count = 0
    for root, folders, files in os.walk(folder):
        depth = len(Path(root).relative_to(folder).parts)
        folders[:] = sorted(f for f in folders if not f.startswith(".")) if depth < DEEPEST else []
        for name in sorted(files):
            count += 1
            if count > MAX_FILES:
                return
            if is_regular_below(path := Path(root) / name, folder):
                yield path


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def holds_other_log(folder: Path) -> bool:
    """Return whether a folder is another program's, or of a watched loop, with a log in it."""
    if not folder.is_dir() or is_run_folder(folder):
        return False
    if holds_record(folder):
        return True
    if _holds_our_results(folder):
        return False
    if has_model(folder):
        if (folder / EVENTS).exists():  # a run of ours that lost its run.json
            return False
        return holds_printed_log(folder) or checkpoint_log_folder(folder) is not None
    return bool(log_files(folder)) or checkpoint_log_folder(folder) is not None


def _holds_our_results(folder: Path) -> bool:
    """Return whether an experiment or runs of ours are in a folder: no log of another program."""
    if any((folder / name).exists() for name in (ATTRIBUTION_FILE, COMPARISON_FILE, SEARCH_FILE)):
        return True
    return any(is_run_folder(child) for child in folder.iterdir() if child.is_dir())
