"""Whole runs of the command line in forked children, for faults that meet a run as a user has it.

torch is imported once, before the first fork. Every child has one thread.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stored import scratch_folder

SAVE_STEPS = 5
"""Steps between two saves in these runs: the real interval follows from the time of a save."""

KEYS = {
    "embed-dim": 16, "num-heads": 2, "num-layers": 1, "ff-dim": 32, "max-seq-len": 32,
    "seq-len": 16, "batch-size": 16, "epoch": 3, "tokenizer": "byte", "precision": "float32",
    "threads": 1, "compile": "off", "attention": "matmul", "dropout-rate": 0.1,
}  # fmt: skip
"""With the attention too: on a busy machine each run with an empty cache may choose another."""


@dataclass(frozen=True)
class Ending:
    """How a child ended."""

    code: int
    """Its exit code; minus the number of the signal that killed it."""
    output: str

    @property
    def is_plain(self) -> bool:
        """Whether it said neither of a traceback nor of a bug."""
        return "Traceback" not in self.output and "This is a bug" not in self.output

    def problems(self, what: str = "it", codes: Collection[int] = (0,)) -> list[str]:
        """What is wrong with the end of `what`: another exit code than `codes`, or a traceback."""
        if self.code in codes and self.is_plain:
            return []
        return [f"{what} ended with {self.code}: {self.output[-300:]}"]


def train_words(place: Path, folder: Path) -> list[str]:
    """The command that trains a run in `folder`."""
    flags = [f"--{key}={value}" for key, value in KEYS.items()]
    return ["train", str(place / "text.txt"), "--save-dir", str(folder), *flags]


def prepare(place: Path) -> None:
    """Write the text, and import what a run needs."""
    import saves
    import torch

    import descend.api
    import descend.cli.main
    import descend.training.trainer  # noqa: F401

    torch.set_num_threads(1)
    saves.write_text(place / "text.txt")


@dataclass(frozen=True)
class CleanRun:
    """A place for runs, and the undisturbed run that they are compared with."""

    place: Path
    model: str
    """Digest of its model."""
    seconds: float


@contextmanager
def open_bench() -> Iterator[CleanRun]:
    """A scratch folder with a text and an undisturbed run, which had a filled cache."""
    os.environ["OMP_NUM_THREADS"] = "1"
    with scratch_folder() as place:
        prepare(place)
        train_clean(place)
        yield CleanRun(place, *train_clean(place))


def check_completion(clean: CleanRun, folder: Path, *, goes_on: bool) -> list[str]:
    """Go on with the run in `folder` if it is to be; what does not hold at its end."""
    problems = []
    if goes_on:
        output = clean.place / "output"
        problems = run_child(words_to_go_on(clean.place, folder), output).problems("the resume")
    if model_digest(folder) != clean.model:
        problems.append("the weights are not those of the undisturbed run")
    return problems


def check_checkpoints(folder: Path) -> list[str]:
    """Two whole checkpoints must stand once two were saved."""
    if not (folder / "checkpoints").is_dir():
        return []
    whole, saves = count_whole(folder), count_saves(folder)
    return [f"{whole} whole checkpoints after {saves} saves"] if whole < min(2, saves) else []


def save_every_few_steps() -> None:
    """In a child: save every `SAVE_STEPS` steps, however long that takes."""
    from descend.training import trainer

    calls: Counter[int] = Counter()

    def is_due(budget: trainer.TimeBudget) -> bool:
        calls[id(budget)] += 1  # one budget is for saves, another for samples
        return calls[id(budget)] % SAVE_STEPS == 0

    trainer.TimeBudget.is_due = is_due  # type: ignore[method-assign]


def start(words: list[str], output: Path, before: Callable[[], object] = lambda: None) -> int:
    """Fork a child that runs `descend WORDS` after `before()`; its process number."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    code = 99
    try:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        from descend.cli.main import run

        save_every_few_steps()
        before()
        code = run(words)
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException as problem:
        os.write(2, f"Traceback: {type(problem).__name__}: {problem}\n".encode())
    finally:
        os._exit(code)


def finish(child: int, output: Path) -> Ending:
    """Wait for a child."""
    _, status = os.waitpid(child, 0)
    return Ending(os.waitstatus_to_exitcode(status), output.read_text(errors="replace"))


def run_child(
    words: list[str], output: Path, before: Callable[[], object] = lambda: None
) -> Ending:
    """Run `descend WORDS` in a child to its end."""
    return finish(start(words, output, before), output)


def train_clean(place: Path) -> tuple[str, float]:
    """The digest of the model of an undisturbed run, and the seconds that it took."""
    folder = place / "clean"
    shutil.rmtree(folder, ignore_errors=True)
    began = time.monotonic()
    ending = run_child(train_words(place, folder), place / "output")
    if ending.code:
        raise AssertionError(ending.output)
    return model_digest(folder), time.monotonic() - began


def model_digest(folder: Path) -> str:
    """Of the weights of a finished run; empty where there are none."""
    file = folder / "model.safetensors"
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else ""


def last_step(folder: Path) -> int:
    """The last step in the log of a run."""
    from descend.runs.event_log import read_events
    from descend.runs.events import Step

    return max((r.step for r in read_events(folder) if isinstance(r, Step)), default=0)


def newest_step(folder: Path) -> int:
    """The step of the newest whole checkpoint; 0 where there is none."""
    from descend.runs.checkpoint_folders import latest_checkpoint

    newest = latest_checkpoint(folder) if folder.is_dir() else None
    return 0 if newest is None else int(newest.name.removeprefix("step_"))


def count_whole(folder: Path) -> int:
    """Whole checkpoints of a run."""
    from descend.runs.atomic_write import verify_folder
    from descend.runs.checkpoint_folders import checkpoints

    return sum(verify_folder(path) for _, path in checkpoints(folder))


def count_saves(folder: Path) -> int:
    """Checkpoints that the log of a run says were saved."""
    from descend.runs.event_log import read_events
    from descend.runs.events import CheckpointSaved

    return sum(isinstance(r, CheckpointSaved) for r in read_events(folder))


def words_to_go_on(place: Path, folder: Path) -> list[str]:
    """`resume`, or `train` in an empty folder where nothing was saved yet."""
    if newest_step(folder):
        return ["resume", str(folder)]
    shutil.rmtree(folder, ignore_errors=True)
    return train_words(place, folder)
