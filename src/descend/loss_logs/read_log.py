"""From a file or a folder to a log: which format it is, by what stands in it."""

from __future__ import annotations

import json
import math
from itertools import islice
from pathlib import Path

from descend.errors import LogError
from descend.loss_logs.break_offs import RESUME, describe_break_off
from descend.loss_logs.column_names import TRAIN, VALIDATION, split_identifier
from descend.loss_logs.curve_assembly import CurveAssembly
from descend.loss_logs.log import LossLog
from descend.loss_logs.log_facts import LogFacts
from descend.loss_logs.log_folder import checkpoint_log_folder, log_files
from descend.loss_logs.log_lines import read_lines
from descend.loss_logs.parsers.boosted_trees import BoostedTrees
from descend.loss_logs.parsers.console import Console
from descend.loss_logs.parsers.event_files import (
    WANDB_MAGIC,
    is_event_file,
    read_event_folder,
    read_events,
    read_wandb,
)
from descend.loss_logs.parsers.mlflow_database import SQLITE_MAGIC, read_mlflow_database
from descend.loss_logs.parsers.mlflow_metrics import mlflow_metrics_folder, read_mlflow
from descend.loss_logs.parsers.notebook_outputs import is_notebook, read_notebook
from descend.loss_logs.parsers.structured import is_trainer_state, read_json, read_table
from descend.loss_logs.parsers.unnamed_numbers import NOTE, read_unnamed
from descend.loss_logs.reward_rules import describe_reward
from descend.loss_logs.unlogged import unlogged_error
from descend.units import quoted

KNOWN_FORMATS = (
    "a program's console output, a notebook with its outputs, a CSV with a loss column, "
    "trainer_state.json, JSON lines, TensorBoard event files, a .wandb file or MLflow's mlflow.db"
)
MIN_ENTRIES = 3
"""Losses without which there is no curve to speak of."""
_ENOUGH = 20
"""Losses from which a file of a folder is taken without looking at the others."""


def read_log(path: Path) -> LossLog:
    """Return the curve in `path`; `LogError` if there is none to be found."""
    if path.is_dir() or checkpoint_log_folder(path) is not None:
        return _in_folder(path)
    if path.suffix == ".py":
        raise LogError(
            str(path),
            "a program",
            KNOWN_FORMATS,
            "give what it printed, or look at it with descend check",
        )
    try:
        log = _read(path)
    except OSError as problem:
        raise LogError(
            str(path), str(problem.strerror or problem).lower(), "a file with losses",
            "check the path",
        ) from None  # fmt: skip
    if (log is None or len(log.entries) < MIN_ENTRIES) and is_trainer_state(path):
        raise unlogged_error(path, MIN_ENTRIES)
    count = 0 if log is None else len(log.entries)
    if log is None or (count < MIN_ENTRIES and not _has_lost_loss(log)):
        _raise_end_or_reward(path, count)
    if log is None or not log.entries:
        raise LogError(
            str(path), _first_line(path), KNOWN_FORMATS,
            "give the file that holds the losses, or write a CSV with the columns step and loss; "
            f"to measure a text, run `descend corpus stats {quoted(path)}`",
        )  # fmt: skip
    if len(log.entries) < MIN_ENTRIES and not _has_lost_loss(log):
        raise LogError(
            str(path), f"{len(log.entries)} loss{'es' if len(log.entries) > 1 else ''}",
            f"at least {MIN_ENTRIES}", "log more often, or give the whole log",
        )  # fmt: skip
    return log


def _raise_end_or_reward(path: Path, count: int) -> None:
    """Raise the error of a log whose program broke off before it had logged enough losses, or of
    one that holds rewards instead."""
    facts = _facts(path)
    end = facts.failure_scan.break_off
    if not count and (reward := describe_reward(facts.measures.select("reward"),
                                                facts.measures.select("policy_kl"))):  # fmt: skip
        raise LogError(
            str(path), f"rewards and no losses: {reward}", "losses of a language model",
            "judge this run by its reward",
        )  # fmt: skip
    if end is not None and not end.is_after_end:
        event, fix = describe_break_off(end)
        losses = "no losses" if not count else "1 loss" if count == 1 else f"{count} losses"
        raise LogError(
            str(path), f"{losses}, since {event}", f"at least {MIN_ENTRIES} losses",
            fix.removesuffix(f". Then {RESUME}").removesuffix(f", and {RESUME}"),
        )  # fmt: skip


def _facts(path: Path) -> LogFacts:
    """Return what the text at `path` tells beside its losses."""
    assembly = CurveAssembly()
    with path.open("rb") as file:
        start = file.read(4096)
    if not is_notebook(start) and b"\0" not in start:
        Console(assembly).read(read_lines(path))
    return assembly.facts


def _has_lost_loss(log: LossLog) -> bool:
    """Return whether a loss is no number: one of them is enough for a verdict."""
    losses = [loss for e in log.entries for loss in (e.train_loss, e.validation_loss)]
    return any(loss is not None and not math.isfinite(loss) for loss in losses)


def _in_folder(folder: Path) -> LossLog:
    """Return the log in `folder`, or, if `folder` is a checkpoint, of the run that saved it."""
    best = _best_of(log_files(folder) if folder.is_dir() else [])
    if best is not None:
        log, path = best
        log.notes.insert(0, f"read from {path.relative_to(folder)}, found in the folder")
        return log
    beside = checkpoint_log_folder(folder)
    best = None if beside is None else _best_of(log_files(beside))
    if best is None or beside is None:
        _raise_unlogged(folder if beside is None else beside)
        raise LogError(
            str(folder), "no file with losses in this folder", KNOWN_FORMATS,
            "give the file that holds the losses",
        )  # fmt: skip
    log, path = best
    log.notes.insert(0, f"read from {path.relative_to(beside.parent)}, beside the checkpoint")
    return log


def _raise_unlogged(folder: Path) -> None:
    """Raise the error of the likeliest file of `folder` that is a log with too few losses."""
    for path in log_files(folder):
        try:
            if path.name == "trainer_state.json" and is_trainer_state(path):
                raise unlogged_error(path, MIN_ENTRIES)
        except OSError:
            continue


def _best_of(paths: list[Path]) -> tuple[LossLog, Path] | None:
    """Return the log with the most losses of the likeliest of `paths`, and its file.

    Of files of one name the first counts: the others are of earlier runs.
    """
    best: tuple[LossLog, Path] | None = None
    for path in paths:
        if best is not None and path.name == best[1].name:
            continue
        try:
            log = _read_events(path) if "tfevents" in path.name else _read(path)
        except OSError:
            continue
        if log is not None and len(log.entries) >= MIN_ENTRIES:
            if best is None or len(log.entries) > 2 * len(best[0].entries):
                best = log, path
            if len(best[0].entries) >= _ENOUGH:
                break
    return best


def _read(path: Path) -> LossLog | None:
    if (metrics := mlflow_metrics_folder(path)) is not None:
        return _log(read_mlflow, metrics)
    with path.open("rb") as file:
        start = file.read(4096)
    if start.startswith(WANDB_MAGIC):
        return _log(read_wandb, path)
    if is_event_file(start):
        return _log(read_events, path)
    if start.startswith(SQLITE_MAGIC):
        return _log(read_mlflow_database, path)
    head = start.lstrip(b"\xef\xbb\xbf \t\r\n")
    if is_notebook(head):
        return _log(read_notebook, path)
    first, _, more = head.partition(b"\n")
    whole = head[:1] in (b"{", b"[") and not (more.strip() and _is_object(first))
    if whole and (log := _log(read_json, path)) is not None and log.entries:
        return log
    table = _log(read_table, path)
    if table is not None and len(table.entries) >= MIN_ENTRIES:
        return table
    # A header that names a loss, or a lone dictionary, may stand on top of another format.
    console = _console(path)
    if console is None or (table is not None and len(table.entries) > len(console.entries)):
        console = table
    if console is None and (unnamed := _log(read_unnamed, path)) is not None:
        unnamed.notes.insert(0, NOTE)
        return unnamed
    return console


def _read_events(path: Path) -> LossLog | None:
    """Return the log of an event file of a folder, with the files beside it where it is one side
    only."""
    run = path.parent
    return _log(read_event_folder, run.parent if _is_side(run) else run)


def _is_side(folder: Path) -> bool:
    """Return whether `folder` is the training or the validation side of a run: one beside it has
    the same name but for such words, as of loss_train and loss_test."""
    sides = TRAIN | VALIDATION | {"loss"}
    words = set(split_identifier(folder.name))
    if not words & sides:
        return False
    others = (set(split_identifier(p.name)) for p in folder.parent.iterdir() if p != folder)
    return any(other & sides and other - sides == words - sides for other in others)


def _is_object(line: bytes) -> bool:
    """Return whether a line is an object by itself, so that the file is JSON lines."""
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _log(read: object, path: Path) -> LossLog | None:
    assert callable(read)
    assembly = CurveAssembly()
    return assembly.log() if read(path, assembly) else None


def _console(path: Path) -> LossLog | None:
    assembly = CurveAssembly()
    Console(assembly).read(read_lines(path))
    return assembly.log()


def _first_line(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(4096)
    if is_notebook(start):
        return "a notebook whose outputs show no losses"
    if start.startswith(SQLITE_MAGIC):
        return f"a database without an MLflow run that logged {MIN_ENTRIES} losses"
    if trees := BoostedTrees(line.text for line in islice(read_lines(path), 400)).describe():
        return trees
    for line in read_lines(path):
        if first := line.text.strip():
            return f"no losses (it begins {first[:40]!r})"
    return "an empty file"
