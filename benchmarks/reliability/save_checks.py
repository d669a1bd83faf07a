"""What must hold of a folder after a fault in one of the operations of `saves`."""

from __future__ import annotations

import json
from pathlib import Path

from saves import Bench, digest, first_weight

from descend.data import cache_build
from descend.data.cache_build import is_whole
from descend.data.corpus_builder import MANIFEST as CORPUS_MANIFEST
from descend.errors import DescendError
from descend.runs.atomic_write import MANIFEST_FILE, verify_folder
from descend.runs.checkpoint_folders import checkpoints, latest_checkpoint
from descend.runs.event_log import event_problems, read_events
from descend.runs.events import Epoch, Step
from descend.runs.lock import lock_run_folder
from descend.runs.run_files import MODEL_FILES, load_summary, read_info


def check_folder(bench: Bench, folder: Path, operation: str, finished: bool | None) -> list[str]:
    """What does not hold of `folder` after a fault, then recovery.

    `finished`: whether the operation said that it was done; None if its process was killed.
    """
    if operation == "new run":
        return _check_new_run(bench, folder / "a" / "new", finished)
    if operation == "cache":
        cache_build._checked.clear()
        lost = finished and not is_whole(folder / "cache")
        return ["the cache that was built is not whole"] if lost else []
    if operation == "corpus":
        return _check_corpus(folder / "corpus", finished)
    problems = []
    if operation != "recovery" and not _good(bench, folder):
        problems.append("no whole checkpoint before recovery")
    try:
        with lock_run_folder(folder):
            pass
    except DescendError as problem:
        return [*problems, f"recovery fails: {problem}"]
    good = _good(bench, folder)
    if len(good) < 2:
        problems.append(f"{len(good)} good checkpoints")
    unknown = [p for p in _whole(folder) if digest(p) not in bench.known.get(_step(p), ())]
    problems += [f"{p.name} is whole and none that was saved" for p in unknown]
    latest = latest_checkpoint(folder)
    first, second, third = bench.saved_steps
    newest = {"checkpoint": third, "same step": second, "earlier step": first}.get(operation)
    if finished and newest and (latest is None or _step(latest) != newest):
        problems.append("the checkpoint that was saved is not the newest")
    aside = [p for p in folder.rglob(".*") if p.name.endswith((".partial", ".old"))]
    problems += [f"{p.name} is left behind" for p in aside]
    return problems + _check_records(bench, folder, operation, finished)


def _check_corpus(folder: Path, finished: bool | None) -> list[str]:
    """Each file that the manifest names is whole; a finished build is there with its manifest."""
    manifest = folder / CORPUS_MANIFEST
    if not manifest.exists():
        return ["the corpus that was added is not there"] if finished else []
    try:
        names = json.loads(manifest.read_text())
    except ValueError:
        return ["the manifest of a corpus is damaged"]
    texts = [folder / name for name in names]
    if all(path.exists() and b"A text." in path.read_bytes() for path in texts) and texts:
        return []
    return ["a file of a corpus is not whole"]


def _check_records(bench: Bench, folder: Path, operation: str, finished: bool | None) -> list[str]:
    problems = []
    try:
        written = read_info(folder).saved_at == "later", load_summary(folder).finished
        if operation == "records" and finished and written != (True, True):
            problems.append("a record that was written is the old one")
        events = read_events(folder)
        problems += event_problems(folder)
        latest = latest_checkpoint(folder)
        if latest is not None:
            steps = {r.step for r in events if isinstance(r, Step)}
            lacking = set(range(1, _step(latest) + 1)) - steps
            if lacking and operation == "checkpoint":
                problems.append(f"events of {len(lacking)} steps before the checkpoint are lost")
            epochs = [r for r in events if isinstance(r, Epoch)]
            is_new = operation == "checkpoint" and _step(latest) == bench.saved_steps[2]
            if is_new and len(epochs) != len(bench.epochs) + 1:
                problems.append("the epoch before the checkpoint is lost")
    except DescendError as problem:
        problems.append(f"a record cannot be read: {problem}")
    if operation == "model":
        problems += _check_model(bench, folder, finished)
    return problems


def _check_model(bench: Bench, folder: Path, finished: bool | None) -> list[str]:
    """It loads, and is the old or the new one; a file is never half."""
    from descend.runs.model_files import load_model

    try:
        weight = first_weight(load_model(folder).model)
    except DescendError as problem:
        return [f"the model does not load: {problem}"]
    new = first_weight(bench.run.state.model)
    if weight not in (new, bench.old_weight):
        return ["the model is neither the old nor the new one"]
    if finished and (weight != new or not (folder / MANIFEST_FILE).exists()):
        return ["the model that was saved is not there"]
    missing = [name for name in MODEL_FILES if not (folder / name).exists()]
    return [f"{name} is missing" for name in missing]


def _check_new_run(bench: Bench, folder: Path, finished: bool | None) -> list[str]:
    good = _good(bench, folder) if folder.is_dir() else []
    if finished and len(good) < 2:
        return [f"{len(good)} good checkpoints of a new run"]
    if good and not (folder / "run.json").exists():
        return ["a checkpoint without run.json"]
    try:
        if folder.is_dir():
            with lock_run_folder(folder):
                pass
            if good:
                read_info(folder)
                steps = {r.step for r in read_events(folder) if isinstance(r, Step)}
                lost = set(range(1, _step(good[-1]) + 1)) - steps
                lines = [f"events of {len(lost)} steps before the checkpoint are lost"]
                return [*(lines if lost else []), *event_problems(folder)]
    except DescendError as problem:
        return [f"a new run cannot be read: {problem}"]
    return []


def _whole(folder: Path) -> list[Path]:
    return [path for _, path in checkpoints(folder) if verify_folder(path)]


def _good(bench: Bench, folder: Path) -> list[Path]:
    return [p for p in _whole(folder) if digest(p) in bench.known.get(_step(p), ())]


def _step(path: Path) -> int:
    return int(path.name.removeprefix("step_"))
