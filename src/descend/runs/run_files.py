"""The run folder as files: names, reading, and clear words for what is missing.

config.json model.safetensors tokenizer.json tokenizer_config.json generation_config.json
README.md                 the model, as `transformers` loads it
run.json                  the requested configuration, what followed from it, where it ran
events.jsonl              what happened, append-only
summary.json              the result so far, rewritten once an epoch
checkpoints/step_<n>/     all that a resume needs
snapshots/step_<n>/       weights of earlier steps, to look at (`saved_weights`)
diagnosis.json            why it does not learn better, if it was requested
report.html               the report, once that was written
annotation.json           tags and a note that a person wrote
pause_requested           the run is to wait between two steps (`pause_request`)
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from descend.artifacts import RUN_FILE
from descend.data.cache_dir import remember_run
from descend.errors import RunFolderError
from descend.guard import decode_json, read_regular
from descend.machine import Execution
from descend.model.shape import NetworkDetails
from descend.runs.annotation import ANNOTATION
from descend.runs.atomic_write import (
    MANIFEST_FILE,
    write_file_atomic,
)
from descend.runs.checksums import check_seal, seal_json
from descend.runs.event_log import EVENTS
from descend.runs.events import Count, Epoch, Ordinal, Overfitting, Real, Rollback, Sample, Seconds
from descend.runs.folder_errors import not_a_run_error, unread_file_error

WEIGHTS = "model.safetensors"

WEIGHT_INDEX = "model.safetensors.index.json"
"""Where another program split the weights: which file holds which (`weight_files`)."""

TOKENIZER = "tokenizer.json"
DIAGNOSIS = "diagnosis.json"
REPORT = "report.html"
_SUMMARY = "summary.json"

MODEL_FILES = {
    "config.json": "the shape of the model",
    WEIGHTS: "the weights",
    TOKENIZER: "the tokenizer",
}

SNAPSHOTS = "snapshots"

OWN_FILES = frozenset({
    *MODEL_FILES, RUN_FILE, EVENTS, _SUMMARY, MANIFEST_FILE, "generation_config.json",
    "tokenizer_config.json", "README.md",
})  # fmt: skip
"""What the run alone writes; a diagnosis and a report come from other processes too."""

RecordT = TypeVar("RecordT")

_PATHS = ("corpus_dir", "vocab_path")

_Positive = Annotated[int, msgspec.Meta(ge=1)]
_PathText = Annotated[str, msgspec.Meta(pattern=r"\A[^\0]*\Z")]  # no path of any system holds NUL


class _Baselines(msgspec.Struct):
    uniform: float
    unigram: float
    bigram: float
    unigram_accuracy: float | None = None
    bigram_accuracy: float | None = None


class _CorpusFacts(msgspec.Struct):
    """The part of `corpus` that every run has."""

    corpus: str
    corpus_sha256: str
    train_bytes: _Positive
    validation_bytes: _Positive
    train_tokens: _Positive
    validation_tokens: _Positive
    vocab_size: _Positive
    documents: int
    split_by: str
    contamination_fraction: float
    ngram_baselines: _Baselines


class _Paths(msgspec.Struct):
    corpus_dir: _PathText | None = None
    vocab_path: _PathText | None = None


class _ConfigFacts(_Paths, kw_only=True):
    """The part of `resolved_config` that is read before all of it is checked."""

    batch_size: _Positive
    seq_len: _Positive
    optimizer: str


class RunMetadata(msgspec.Struct, frozen=True):
    """run.json: everything that made the run, as plain data."""

    version: str
    saved_at: str
    preset: str
    requested_config: dict[str, Any]
    """The RunConfig as requested, before anything left open was chosen."""
    resolved_config: dict[str, Any]
    """RunConfig with every open key chosen, and what followed: steps, parameters, …"""
    execution: dict[str, Any]
    corpus: dict[str, Any]
    hardware: dict[str, Any]
    parent: _PathText | None = None
    """Folder of the model that this run continued."""
    parent_loss: float | None = None
    """Validation loss of that model, if it was evaluated on the same validation text."""
    parent_hash: str | None = None
    """Hash of its weights, where only adapters beside them are trained."""
    network: NetworkDetails | None = None
    """What the configuration does not say of a network that came from another program."""
    working_dir: _PathText | None = None
    """Where the run was begun, as seen from its folder: what the paths in `config`, `resolved`
    and `parent` are relative to."""
    run_id: str | None = None
    """By which a run knows its own checkpoints; None in runs of an older descend."""


class RunSummary(msgspec.Struct, frozen=True):
    """summary.json and `train --json`: the result in one object."""

    model_dir: str
    parameters: Count
    seconds: Seconds
    tokens_per_second: Real
    epochs: list[Epoch]
    best_epoch: Ordinal
    validation_loss: Real
    validation_accuracy: Real
    bits_per_byte: Real
    ngram_baselines: dict[str, Real]
    finished: bool
    samples: list[Sample]
    """What the kept model writes after prompts from validation text; empty before the end."""
    rollbacks: list[Rollback] = []
    """Each time that training diverged and was rolled back."""
    continued: bool = False
    """Whether it trained a finished model further."""
    parent_validation_loss: Real | None = None
    """Validation loss of that model, if it was evaluated on the same validation text."""
    overfitting: Overfitting | None = None
    """When and by how much the validation loss rose while the run trained on, if it did."""
    num_epochs: Real | None = None
    """How often it read its text so far; the last of `epochs` may be a part of one."""
    train_tokens: Count | None = None
    """Tokens of its training text."""
    accuracy_baselines: dict[str, Real] = {}
    """Validation accuracy of the most common token (`unigram`) and of the most common one after the
    token before (`bigram`); empty in older runs."""


def write_info(folder: Path, info: RunMetadata) -> None:
    """Write run.json, and note that it is one of this machine's own (`check_path`)."""
    content = seal_json(info)
    write_file_atomic(folder / RUN_FILE, content)
    remember_run(content)


def read_info(folder: Path) -> RunMetadata:
    """Read run.json; `RunFolderError` if it is missing or damaged.

    Text, vocabulary, parent and teachers are named by paths that hold in the current folder, even
    if the run was begun in another.
    """
    info = _read(folder / RUN_FILE, RunMetadata)
    try:
        msgspec.convert(info.corpus, _CorpusFacts)
        msgspec.convert(info.requested_config, _Paths)
        msgspec.convert(info.resolved_config, _ConfigFacts)
        msgspec.convert(info.execution, Execution)
    except msgspec.ValidationError as problem:
        raise _damaged(folder / RUN_FILE, problem) from None
    if info.working_dir is None:
        return info
    base = Path(os.path.normpath(folder.resolve() / info.working_dir))
    if base == Path.cwd():
        return info

    def relocate_paths(values: dict[str, Any]) -> dict[str, Any]:
        relocated = {key: _from_here(base, values.get(key)) for key in _PATHS}
        if teachers := values.get("teachers"):
            folders = (_from_here(base, folder) for folder in str(teachers).split(","))
            relocated["teachers"] = ",".join(map(str, folders))
        return values | relocated

    return msgspec.structs.replace(
        info,
        requested_config=relocate_paths(info.requested_config),
        resolved_config=relocate_paths(info.resolved_config),
        parent=_from_here(base, info.parent),
    )


def relative_working_dir(folder: Path) -> str | None:
    """Return the current folder as `folder` sees it; None on another drive."""
    try:
        return os.path.relpath(Path.cwd(), folder.resolve())
    except ValueError:
        return None


def _from_here(base: Path, path: Any) -> Any:
    """Return `path`, relative to `base`, as it is written here; as it is if nothing is there.

    `os.path` raises nothing for a name that no disk can hold, or the home of nobody.
    """
    if not isinstance(path, str) or os.path.isabs(os.path.expanduser(path)):
        return path
    return os.path.relpath(base / path) if os.path.exists(base / path) else path


def write_summary(folder: Path, summary: RunSummary) -> None:
    """Write summary.json."""
    write_file_atomic(folder / _SUMMARY, seal_json(summary))


def load_summary(folder: Path) -> RunSummary:
    """Read the summary.json that is in `folder`; `RunFolderError` if it is damaged.

    Its `model_dir` is `folder`, also where that was moved or copied since.
    """
    summary = _read(folder / _SUMMARY, RunSummary)
    try:
        msgspec.convert(summary.parameters, _Positive)
        msgspec.convert(summary.ngram_baselines, _Baselines)
        if not any(epoch.epoch == summary.best_epoch for epoch in summary.epochs):
            raise msgspec.ValidationError("the best epoch is none of its epochs")
    except msgspec.ValidationError as problem:
        raise _damaged(folder / _SUMMARY, problem) from None
    return msgspec.structs.replace(summary, model_dir=str(folder))


def write_diagnosis(folder: Path, content: bytes) -> None:
    """Write diagnosis.json, which `descend.diagnosis` makes."""
    write_file_atomic(folder / DIAGNOSIS, content)


def read_diagnosis(folder: Path) -> bytes:
    """Read diagnosis.json as it is; `OSError` if that cannot be done."""
    return read_regular(folder / DIAGNOSIS)


def has_diagnosis(folder: Path) -> bool:
    """Return whether the run in `folder` has been diagnosed."""
    return (folder / DIAGNOSIS).exists()


def is_run_folder(folder: Path) -> bool:
    """Return whether `folder` is that of a run, finished or not."""
    return (folder / RUN_FILE).exists()


def has_model(folder: Path) -> bool:
    """Return whether `folder` holds a model, or a part of one."""
    return len(missing_model_files(folder)) < len(MODEL_FILES)


def missing_model_files(folder: Path) -> list[str]:
    """Return the names in `MODEL_FILES` that `folder` lacks; an index stands for the weights."""
    there = {name for name in MODEL_FILES if (folder / name).is_file()}
    if weights_path(folder).is_file():
        there.add(WEIGHTS)
    return [name for name in MODEL_FILES if name not in there]


def weights_path(folder: Path) -> Path:
    """Return the file that stands for the weights in `folder`: the weights, or their index."""
    file, index = folder / WEIGHTS, folder / WEIGHT_INDEX
    return index if index.is_file() and not file.is_file() else file


def has_summary(folder: Path) -> bool:
    """Return whether the run in `folder` came to the end of an epoch."""
    return (folder / _SUMMARY).exists()


def is_finished(folder: Path) -> bool:
    """Return whether the run in `folder` came to its end and saved its model."""
    return has_summary(folder) and load_summary(folder).finished


def _read(path: Path, kind: type[RecordT]) -> RecordT:
    try:
        content = read_regular(path)
        check_seal(content)
        record: RecordT = decode_json(content, kind)
        return record
    except (FileNotFoundError, NotADirectoryError):
        # A path below a file is "not found" on Windows, "not a directory" elsewhere.
        raise not_a_run_error(path.parent, path.name, model=has_model(path.parent)) from None
    except (msgspec.DecodeError, OSError) as problem:
        raise _damaged(path, problem) from None


def _damaged(path: Path, problem: Exception) -> RunFolderError:
    return unread_file_error(
        str(path), problem, "what descend wrote there", "restore it from a copy or train again"
    )


def run_stamp(folder: Path) -> tuple[tuple[int, int] | None, ...]:
    """Return time and size of the files of a run: equal where none was written or lost since."""
    records = (RUN_FILE, _SUMMARY, DIAGNOSIS, EVENTS, ANNOTATION)
    return tuple(_file_stamp(folder / name) for name in (*records, *MODEL_FILES))


def _file_stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
