"""Everything a run writes into its folder, one operation each, and what must hold afterwards.

`Bench` trains a tiny run once. Each operation then works on a fresh copy of a run folder with
two checkpoints, so that a fault can be tried at each of its file calls.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch

from descend.config import make_config
from descend.data import cache_build
from descend.data.cache_build import build_once
from descend.data.corpus_builder import build_corpus
from descend.errors import DescendError
from descend.runs.checkpoint_folders import checkpoints
from descend.runs.event_log import EventLog
from descend.runs.events import CheckpointSaved, Epoch, Event, Step, TrainingStarted
from descend.runs.lock import lock_run_folder
from descend.runs.model_files import save_model
from descend.runs.run_files import write_info, write_summary
from descend.training.checkpoint import save_checkpoint
from descend.training.loop import train
from descend.training.train_state import TrainState
from descend.training.trainer import build_run_summary
from descend.training.training_run import TrainingRun, create_run

TINY: dict[str, Any] = {
    "embed_dim": 16, "num_heads": 2, "num_layers": 1, "ff_dim": 32, "max_seq_len": 32,
    "seq_len": 16, "batch_size": 16, "epoch": 3, "vocab_size": 280, "precision": "float32",
    "optimizer": "muon", "threads": 1, "compile": "off",
}  # fmt: skip

EARLIER, LATER, NEW = "earlier", "later", "new"


def write_text(path: Path) -> None:
    """About 6 kB of sentences."""
    animals, verbs = ("cat", "dog", "owl"), ("sleeps", "waits", "sings")
    pairs = itertools.islice(itertools.cycle(itertools.product(animals, verbs)), 300)
    path.write_text("".join(f"The {a} {v} {n % 7} times.\n" for n, (a, v) in enumerate(pairs)))


@dataclass
class Bench:
    """A run, the records of its steps, and its folder after two saves (`base`)."""

    run: TrainingRun
    base: Path
    records: list[Event]
    """Of steps 1 to that of the third save."""
    epochs: list[Epoch]
    saved_steps: tuple[int, int, int]
    known: dict[int, set[str]]
    """Digests of each checkpoint that was ever saved, by step."""
    old_weight: float
    """First weight of the model in `base`."""

    def note(self, folder: Path) -> None:
        """Count the checkpoints that stand in `folder` as good ones."""
        for step, path in checkpoints(folder):
            self.known.setdefault(step, set()).add(digest(path))


def digest(folder: Path) -> str:
    """Of all files of a folder."""
    total = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        total.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def make_bench(folder: Path) -> Bench:
    """Train to the second epoch, with saves of three steps; the third one is still to be done."""
    logging.getLogger("descend").setLevel(logging.ERROR)  # damage is what is made here
    text = folder / "text.txt"
    write_text(text)
    base = folder / "base"
    run = create_run(make_config(TINY | {"corpus_dir": str(text)}), base)
    records: list[Event] = []
    saved: list[int] = []
    log = None
    for step_events in train(run.state, run.plan):
        records += step_events
        epochs = [r for r in records if isinstance(r, Epoch)]
        if not epochs:
            continue
        if log is None:
            with lock_run_folder(base):
                write_info(base, run.info)
                log = EventLog(base)
                log.append(TrainingStarted(0, "now"))
                for record in records:
                    log.append(record)
                write_summary(base, build_run_summary(run, epochs, [], []))
        else:
            for record in step_events:
                log.append(record)
        saved.append(run.state.step)
        if len(saved) == 3:
            break
        save_checkpoint(base, run.state)
        log.append(CheckpointSaved(run.state.step, 0.0))
    assert log is not None
    log.close()
    _drop_last_step(base)
    save_model(base, run.state.model, run.store.tokenizer)
    old_weight = first_weight(run.state.model)
    with torch.no_grad():  # what replaces that model is another one
        next(run.state.model.parameters())[0, 0] += 0.5
    bench = Bench(run, base, records, epochs, (saved[0], saved[1], saved[2]), {}, old_weight)
    bench.note(base)
    scratch = folder / "scratch"
    shutil.copytree(base, scratch)
    save_checkpoint(scratch, run.state)
    bench.note(scratch)
    for step in (saved[0], saved[1]):  # saved by a run that went back
        with went_back(run.state, step):
            save_checkpoint(scratch, run.state)
        bench.note(scratch)
    for step in saved[1:]:  # saved by a new run
        run.state.step = step
        save_checkpoint(scratch / "new", run.state)
        bench.note(scratch / "new")
    shutil.rmtree(scratch)
    return bench


@contextmanager
def went_back(state: TrainState, step: int) -> Iterator[None]:
    """Let `state` be that of `step`, after a rollback."""
    before, before_step = state.rollback_state, state.step
    state.rollback_state = msgspec.structs.replace(before, num_rollbacks=before.num_rollbacks + 1)
    state.step = step
    try:
        yield
    finally:
        state.rollback_state, state.step = before, before_step


def first_weight(model: torch.nn.Module) -> float:
    """The first number of the first weight."""
    return next(model.parameters()).detach().view(-1)[0].item()


def _drop_last_step(folder: Path) -> None:
    """Take the events of the third step off again."""
    file = folder / "events.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    last = max(n for n, line in enumerate(lines) if b'"checkpoint_saved"' in line)
    file.write_bytes(b"".join(lines[: last + 1]))


# -------------------------------------------------------------------------------- operations


def save_third_checkpoint(bench: Bench, folder: Path) -> None:
    """Events of an epoch and a step, then a checkpoint; the oldest one goes."""
    log = EventLog(folder)
    log.append(msgspec.structs.replace(bench.epochs[-1], epoch=2, step=bench.saved_steps[2]))
    log.append(next(r for r in bench.records[::-1] if isinstance(r, Step)))
    save_checkpoint(folder, bench.run.state)
    log.append(CheckpointSaved(bench.run.state.step, 0.0))
    log.close()


def save_same_step(bench: Bench, folder: Path) -> None:
    """The step of the second checkpoint again, by a run that went back before it."""
    with went_back(bench.run.state, bench.saved_steps[1]):
        save_checkpoint(folder, bench.run.state)


def save_earlier_step(bench: Bench, folder: Path) -> None:
    """The step of the first checkpoint again, by a run that went back before both."""
    with went_back(bench.run.state, bench.saved_steps[0]):
        save_checkpoint(folder, bench.run.state)


def save_records(bench: Bench, folder: Path) -> None:
    """run.json and summary.json."""
    write_info(folder, msgspec.structs.replace(bench.run.info, saved_at="later"))
    write_summary(folder, build_run_summary(bench.run, bench.epochs, [], [], finished=True))


def save_finished_model(bench: Bench, folder: Path) -> None:
    """A model over an older one."""
    save_model(folder, bench.run.state.model, bench.run.store.tokenizer)


def start_run(bench: Bench, folder: Path) -> None:
    """A run in a folder that is not there yet: lock, run.json, events, two checkpoints."""
    new = folder / "a" / "new"
    with lock_run_folder(new):
        write_info(new, bench.run.info)
        log = EventLog(new)
        for record in bench.records:
            log.append(record)
        for step in bench.saved_steps[1:]:
            bench.run.state.step = step
            save_checkpoint(new, bench.run.state)
        log.close()


def recover_killed_save(bench: Bench, folder: Path) -> None:
    """What puts right a save killed between its two renames (prepared by `prepare_killed`)."""
    with lock_run_folder(folder):
        pass


def build_cache(bench: Bench, folder: Path) -> None:
    """A folder of the cache, of two files."""

    def build(aside: Path) -> None:
        (aside / "tokens.bin").write_bytes(bytes(range(200)))
        (aside / "info.json").write_bytes(b"{}")

    build_once(folder / "cache", build)


def add_corpus(bench: Bench, folder: Path) -> None:
    """What `descend corpus add` writes."""
    build_corpus(folder / "source.txt", folder / "corpus")


def prepare_source(bench: Bench, folder: Path) -> None:
    """The text that is added: a fault in writing it would be none of descend."""
    (folder / "source.txt").write_text("A text.\n")


def prepare_killed(bench: Bench, folder: Path) -> None:
    """The folder as a kill leaves it: the newest moved away, half of another beside it."""
    newest = checkpoints(folder)[-1][1]
    newest.rename(newest.with_name(f".{newest.name}.999999.old"))
    half = newest.with_name(f".{newest.name}.999999.partial")
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"half")


Operation = Callable[[Bench, Path], None]

OPERATIONS: dict[str, tuple[Operation, Operation | None]] = {
    "checkpoint": (save_third_checkpoint, None),
    "same step": (save_same_step, None),
    "earlier step": (save_earlier_step, None),
    "records": (save_records, None),
    "model": (save_finished_model, None),
    "new run": (start_run, None),
    "recovery": (recover_killed_save, prepare_killed),
    "cache": (build_cache, None),
    "corpus": (add_corpus, prepare_source),
}
"""What is done, and what puts the folder into the state before it."""


def copy_base(bench: Bench, target: Path, operation: str) -> None:
    """Put the folder before `operation` at `target`, every file durable."""
    cache_build._checked.clear()  # as another process
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(bench.base, target)
    prepare = OPERATIONS[operation][1]
    if prepare is not None:
        prepare(bench, target)


def run_operation(bench: Bench, folder: Path, operation: str) -> str:
    """Do it; "done", "refused" by a sentence of descend, or the name of another exception."""
    try:
        OPERATIONS[operation][0](bench, folder)
    except DescendError:
        return "refused"
    except BaseException as problem:
        return f"{type(problem).__name__}: {problem}"
    return "done"


def quit_child(code: int) -> None:
    """End a forked child at once, without the exit handlers of its parent."""
    os._exit(code)
