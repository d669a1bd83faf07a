"""The log in a folder that a training program left: a Trainer's output folder, `lightning_logs`,
`wandb/latest-run`, TensorBoard's `runs`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

DEEPEST = 5
MAX_FILES = 5_000
MAX_FILES_TRIED = 40
_RECORDS = 3
"""Ranks up to it are of files with names that no other kind of file has."""
_TEXT = (".log", ".txt", ".out", ".err", ".stdout", ".csv", ".tsv", ".jsonl", ".json", ".md")
_NO_LOG = re.compile(
    r"^(vocab|tokenizer|config|generation_config|special_tokens|merges|requirements|added_tokens|"
    r"model\.safetensors\.index|preprocessor|adapter_config|hparams|wandb-metadata|package)",
    re.IGNORECASE,
)


def log_files(folder: Path) -> list[Path]:
    """Files below `folder` that may hold a loss, the likeliest first; of one kind the newest."""
    ranked_files = [(_rank(path), -_written(path), path) for path in _files(folder)]
    ranked = sorted(entry for entry in ranked_files if entry[0] is not None)
    return [path for _, _, path in ranked][:MAX_FILES_TRIED]


def holds_record(folder: Path) -> bool:
    """Whether `folder` holds a file that only another program's run leaves."""
    return any((rank := _rank(path)) is not None and rank <= _RECORDS for path in _files(folder))


def _rank(path: Path) -> int | None:
    name = path.name.lower()
    if name == "trainer_state.json":
        return 0
    if name == "metrics.csv":
        return 1
    if "tfevents" in name:
        return 2
    if name.endswith(".wandb"):
        return 3
    if name.endswith(".jsonl"):
        return 4
    if name.endswith(_TEXT) and not _NO_LOG.match(name):
        return (
            5 if any(word in name for word in ("log", "output", "train", "metric", "loss")) else 6
        )
    return None


def _files(folder: Path) -> Iterator[Path]:
    count = 0
    for root, folders, files in os.walk(folder):
        depth = len(Path(root).relative_to(folder).parts)
        folders[:] = sorted(f for f in folders if not f.startswith(".")) if depth < DEEPEST else []
        for name in sorted(files):
            count += 1
            if count > MAX_FILES:
                return
            yield Path(root) / name


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
