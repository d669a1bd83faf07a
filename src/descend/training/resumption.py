"""What must hold before a run is resumed: a whole checkpoint, the same tokens, the same machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from descend.data.cache_dir import check_teachers
from descend.data.token_store import TokenStore
from descend.errors import CorpusError, RunFolderError
from descend.machine import Execution, cpu_instructions, cpu_name
from descend.progress import ProgressCallback
from descend.runs.checkpoint_folders import damaged_checkpoint_files, latest_checkpoint
from descend.runs.lock import lock_run_folder
from descend.runs.recorded_run import read_config
from descend.runs.run_files import TOKENIZER, RunMetadata, is_finished
from descend.runs.run_text import open_run_text
from descend.runs.suggestions import has_diverged, lacks_model, suggest_fix
from descend.training.assembly import RunAssembly, choose_shape, restore_assembly
from descend.training.loss import can_compile
from descend.units import quoted


@dataclass(frozen=True)
class Difference:
    """A fact of this machine that is not as it was when the run began."""

    name: str
    before: str
    now: str


@dataclass(frozen=True)
class ResumePoint:
    """Where an interrupted run is taken up, and what may change its losses."""

    checkpoint: Path
    damaged_files: tuple[Path, ...]
    """Of newer checkpoints, which are left out."""
    differences: tuple[Difference, ...]
    step_seconds: float | None
    """Median of the earlier sessions."""


def check_is_unfinished(folder: Path) -> None:
    """Raise `RunFolderError` if the run in `folder` has nothing left to do, or would diverge."""
    if has_diverged(folder):
        raise RunFolderError(
            str(folder), "a run that diverged, and would again at the same step",
            "an interrupted run", suggest_fix(folder),
        )  # fmt: skip
    if is_finished(folder) and not lacks_model(folder):
        raise RunFolderError(
            str(folder), "a finished run", "an interrupted run",
            f"train its model further with `descend continue {quoted(folder)}`",
        )  # fmt: skip


def reassemble_run(
    folder: Path, info: RunMetadata, execution: Execution, progress: ProgressCallback
) -> RunAssembly:
    """Assemble the run in `folder` again as it was begun, to compute as `execution`."""
    config = read_config(folder, info)
    check_teachers(config.teacher_folders, folder)
    store = open_run_text(folder, info, progress)
    shape = choose_shape(config, store, None, info.network)
    return restore_assembly(info, store, shape, execution)


def choose_checkpoint(folder: Path) -> tuple[Path, tuple[Path, ...]]:
    """Return the newest whole checkpoint of the run in `folder`, and the damaged files of newer
    ones.

    `RunFolderError` that names the damaged file where none is whole.
    """
    with lock_run_folder(folder):  # puts right what a process that was killed left there
        checkpoint = latest_checkpoint(folder)
        damaged = damaged_checkpoint_files(folder, checkpoint)
    if checkpoint is None:
        raise RunFolderError(
            str(folder), f"no checkpoint that is whole{format_damaged(damaged)}",
            "one under checkpoints/", suggest_fix(folder),
        )  # fmt: skip
    return checkpoint, tuple(damaged)


def format_damaged(files: Sequence[Path]) -> str:
    """Return the first of `files` in brackets, and how many more."""
    if not files:
        return ""
    more = f" and {len(files) - 1} more" if files[1:] else ""
    return f" ({files[0]}{more} missing or not as written)"


def check_tokens(folder: Path, info: RunMetadata, store: TokenStore) -> None:
    """Raise `CorpusError` if the tokens are not those that the run began with.

    A run of an older descend has no hash of them.
    """
    for side in ("train", "validation"):
        before = info.corpus.get(f"{side}_sha256")
        if before and before != getattr(store.info, f"{side}_sha256"):
            raise CorpusError(
                str(folder / TOKENIZER), f"other {side} tokens than those the run began with",
                "the same tokens, to go on exactly where it stopped",
                "restore tokenizer.json and the text, or train again",
            )  # fmt: skip


def list_differences(then: Execution, num_processes: int) -> tuple[Difference, ...]:
    """Return what is not as it was when the run began, and so may round differently."""
    compiler = "missing" if then.compiled and not can_compile(then.device) else "here"
    instructions = cpu_instructions()
    now = {"torch": str(torch.__version__), "processor": cpu_name(), "C++ compiler": compiler,
           "number of processes": str(num_processes), "instruction set": instructions}  # fmt: skip
    before = {"torch": then.torch, "processor": then.processor, "C++ compiler": "here",
              "number of processes": str(then.processes),
              "instruction set": then.instructions or instructions}  # fmt: skip
    return tuple(Difference(k, before[k], now[k]) for k in now if now[k] != before[k])
