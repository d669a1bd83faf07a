"""The weights that a run folder holds of different steps: snapshots, checkpoints, the model.

snapshots/step_<n>/     weights in float16, to look at: nothing resumes from them

Each stands in a folder with a manifest of its SHA-256, and is verified before it is used.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from descend.data.tokenizer import load_tokenizer
from descend.errors import RunFolderError
from descend.guard import decode_json, read_regular
from descend.runs.atomic_write import (
    MANIFEST_FILE,
    check_real_folder,
    remove_folder,
    write_folder_atomic,
)
from descend.runs.checkpoint_folders import CHECKPOINTS, checkpoints, count_rollbacks
from descend.runs.model_files import LoadedModel, load_model
from descend.runs.recorded_run import RecordedRun
from descend.runs.run_files import SNAPSHOTS, TOKENIZER, WEIGHTS, has_summary
from descend.runs.suggestions import lacks_model

if TYPE_CHECKING:
    from torch import Tensor

    from descend.model.shape import ModelShape

Kind = Literal["snapshot", "checkpoint", "model"]

_STEP = re.compile(r"step_(\d{1,12})")
_ID = re.compile(r"(snapshot|checkpoint)-(\d{1,12})|model")


class SavedWeights(msgspec.Struct, frozen=True):
    """Weights of a run at a step."""

    id: str
    """`snapshot-64`, `checkpoint-900`, or `model`."""
    kind: Kind
    step: int
    bytes: int


def list_saved_weights(folder: Path) -> list[SavedWeights]:
    """Return what the run in `folder` kept, by step; the model, of its best epoch, at the end.

    Of a step with a checkpoint and a snapshot only the checkpoint. Those of steps that a rollback
    undid are left out. Nothing is verified.
    """
    run = RecordedRun(folder)
    by_step = {
        step: _describe("checkpoint", step, path)
        for step, path in checkpoints(folder)
        if not _is_undone(run, step, count_rollbacks(path))
    }
    last = max(run.num_steps, *by_step, 0)
    for step, path in _snapshots(folder):
        if step <= last and step not in by_step:
            by_step[step] = _describe("snapshot", step, path)
    saved = [by_step[step] for step in sorted(by_step)]
    if not lacks_model(folder) and has_summary(folder):
        summary = run.summary
        best = next(e for e in summary.epochs if e.epoch == summary.best_epoch)
        size = (folder / WEIGHTS).stat().st_size
        saved.append(SavedWeights("model", "model", best.step, size))
    return saved


def load_saved_weights(folder: Path, weights_id: str) -> LoadedModel:
    """Return the network and the tokenizer of the run in `folder` with these weights, on the CPU.

    `RunFolderError` for weights that are missing, damaged, or of another network.
    """
    match = _ID.fullmatch(weights_id)
    if match is None:
        raise _missing(folder, weights_id)
    if match[1] is None:
        return load_model(folder)
    parent = folder / (SNAPSHOTS if match[1] == "snapshot" else CHECKPOINTS)
    place = parent / f"step_{match[2]}"
    run = RecordedRun(folder)
    try:
        check_real_folder(parent)
        check_real_folder(place)
        content = _read_verified(place, _max_bytes(run.shape))
    except FileNotFoundError:
        raise _missing(folder, weights_id) from None
    except (OSError, msgspec.DecodeError) as problem:
        raise _damaged(place, str(problem)) from None
    return _make_model(run, place, content)


def save_snapshot(folder: Path, step: int, weights: Mapping[str, Tensor]) -> None:
    """Write the weights after `step` in float16; `DiskWriteError` if the disk refuses.

    Weights that are not finite in float16 are not written.
    """
    import torch
    from safetensors.torch import save

    halves = {name: t.detach().to("cpu", torch.float16).contiguous() for name, t in weights.items()}
    if all(bool(half.isfinite().all()) for half in halves.values()):
        write_folder_atomic(folder / SNAPSHOTS / f"step_{step}", [(WEIGHTS, save(halves))])


def remove_snapshots_after(folder: Path, step: int) -> None:
    """Remove the snapshots of steps after `step`: a rollback undid them."""
    for later, path in _snapshots(folder):
        if later > step:
            remove_folder(path)


def _is_undone(run: RecordedRun, step: int, num_rollbacks: float) -> bool:
    """Return whether a rollback after the first `num_rollbacks` went back before `step`."""
    later = enumerate(run.rollbacks)
    return any(number >= num_rollbacks and rollback.step < step for number, rollback in later)


def _snapshots(folder: Path) -> list[tuple[int, Path]]:
    """Return steps and folders of all snapshots; none where a link stands in their place."""
    place = folder / SNAPSHOTS
    if place.is_symlink():
        return []
    return sorted(
        (int(match[1]), path)
        for path in place.glob("step_*")
        if (match := _STEP.fullmatch(path.name)) and path.is_dir() and not path.is_symlink()
    )


def _describe(kind: Kind, step: int, path: Path) -> SavedWeights:
    try:
        size = sum(file.lstat().st_size for file in path.iterdir())
    except OSError:
        size = 0
    return SavedWeights(f"{kind}-{step}", kind, step, size)


def _read_verified(place: Path, max_bytes: int) -> bytes:
    hashes = decode_json(read_regular(place / MANIFEST_FILE), dict[str, str])
    content = read_regular(place / WEIGHTS, max_bytes)
    if hashlib.sha256(content).hexdigest() != hashes.get(WEIGHTS):
        raise OSError(None, "its SHA-256 is not the one in manifest.json")
    return content


def _max_bytes(shape: ModelShape) -> int:
    from descend.model.cost import parameter_count
    from descend.model.header import MAX_HEADER

    return 4 * parameter_count(shape) + MAX_HEADER + 8


def _make_model(run: RecordedRun, place: Path, content: bytes) -> LoadedModel:
    from descend.model.cost import parameter_count
    from descend.model.huggingface import weights_from_bytes
    from descend.model.transformer import Transformer

    weights = weights_from_bytes(content)
    # Counted before the network is made: a stranger's run.json may name any size.
    if sum(t.numel() for t in weights.values()) != parameter_count(run.shape):
        raise _damaged(place, "the weights of another network")
    model = Transformer(run.shape)
    parameters = dict(model.named_parameters())
    if {n: t.shape for n, t in weights.items()} != {n: p.shape for n, p in parameters.items()}:
        raise _damaged(place, "the weights of another network")
    for name, parameter in parameters.items():
        parameter.data.copy_(weights[name])
    tokenizer = load_tokenizer(run.folder / TOKENIZER)
    if tokenizer.vocab_size != run.shape.vocab_size:
        raise _damaged(place, "a tokenizer of another vocabulary beside it")
    return LoadedModel(model.eval(), tokenizer)


def _missing(folder: Path, weights_id: str) -> RunFolderError:
    return RunFolderError(
        str(folder), f"no weights named {weights_id[:40]!r}", "weights that this run kept",
        "choose another step",
    )  # fmt: skip


def _damaged(place: Path, problem: str) -> RunFolderError:
    return RunFolderError(
        str(place), f"damaged weights ({problem})", "what descend wrote there",
        "choose another step, or restore the folder from a copy",
    )  # fmt: skip
