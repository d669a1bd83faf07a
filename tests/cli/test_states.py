"""Every verb on every state that a run can be in: it works, or names a command that does.

Each command that is suggested is typed in the very state that suggests it.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock

from descend.config import make_config
from descend.errors import DivergedError
from descend.runs.event_log import read_events
from descend.runs.events import Epoch, Step, TrainingStopped
from descend.training.stop_signals import TrainingInterrupted
from descend.training.trainer import run_training
from descend.training.training_run import create_run

Descend = Callable[..., Any]

STATES = (
    "interrupted", "no_validation", "diverged", "nan", "nan_at_once", "one_step", "lost_model",
    "lost_all",
)  # fmt: skip
READS = ("report", "forecast", "diagnose", "checklist", "show")
USES = ("generate", "evaluate", "resume", "continue")
MORE = {
    "diagnose": ["--no-trials"],
    "generate": ["The cat", "--max-new-tokens", "3"],
    "evaluate": ["animals.txt"],
    "continue": ["--max-steps", "3"],
}
EXPLODING = {"learning_rate": 1.0, "schedule": "constant"}
"""Settings whose loss explodes and stays finite."""
MAY_USE = {("one_step", "generate"), ("one_step", "evaluate"), ("one_step", "continue"),
           ("interrupted", "resume"), ("no_validation", "resume"),
           ("lost_model", "resume")}  # fmt: skip
"""Where a verb that uses a model, or goes on with a run, can do so."""


@pytest.fixture(scope="session")
def states(text_file: Path, tiny_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one run in each state, and the text they were trained on.

    Made once for all processes of the tests.
    """
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    base = base / "states"
    with FileLock(f"{base}.lock"):
        if not base.exists():
            make_runs(base, text_file, tiny_file)
    return base


def make_runs(base: Path, text_file: Path, tiny_file: Path) -> None:
    base.mkdir()
    shutil.copy(text_file, base / "animals.txt")
    tiny = tomllib.loads(tiny_file.read_text()) | {"attention": "matmul"}
    before = Path.cwd()
    os.chdir(base)
    try:
        make_run("interrupted", tiny, stop_at=60)
        make_run("no_validation", tiny, stop_at=20)
        make_run("diverged", tiny | EXPLODING | {"divergence_rollback": "off"})
        make_run("nan", tiny | {"divergence_rollback": "off"}, spoil_at=60)
        make_run("nan_at_once", tiny | {"divergence_rollback": "off"}, spoil_at=1)
        make_run("one_step", tiny | {"max_steps": 1})
        make_run("lost_model", tiny)
        (base / "lost_model/model.safetensors").unlink()
        shutil.copytree("lost_model", "lost_all")
        shutil.rmtree("lost_all/checkpoints")
    finally:
        os.chdir(before)


def make_run(
    name: str, config: dict[str, Any], stop_at: int = 0, spoil_at: int = 0
) -> DivergedError | None:
    """A run in folder `name`, which gets Ctrl-C or a weight that is not a number at a step."""
    run = create_run(make_config(config | {"corpus_dir": "animals.txt"}), Path(name))
    try:
        for record in run_training(run):
            if isinstance(record, Step) and record.step == stop_at:
                os.kill(os.getpid(), signal.SIGINT)
            if isinstance(record, Step) and record.step == spoil_at:
                with torch.no_grad():
                    next(iter(run.state.model.parameters())).fill_(float("nan"))
    except DivergedError as error:
        return error
    except TrainingInterrupted:
        pass
    return None


@pytest.fixture
def run_in(states: Path, own_folder: Path, request: pytest.FixtureRequest) -> Path:
    """A copy of the run in the state that the test is for, as `model run` in an empty folder."""
    shutil.copy(states / "animals.txt", own_folder)
    shutil.copytree(states / request.getfixturevalue("state"), own_folder / "model run")
    return Path("model run")


def suggested(said: str) -> list[list[str]]:
    """The words of each command in `said`, behind `descend`."""
    commands = re.findall(r"`descend ([^`]*)`", said) + re.findall(
        r"^next: descend (.*)$", said, re.M
    )
    return [shlex.split(re.split(r"   +", command)[0]) for command in dict.fromkeys(commands)]


def test_states_are_what_their_names_say(states: Path) -> None:
    ends = {s: read_events(states / s)[-1] for s in STATES}
    reasons = {s: end.reason for s, end in ends.items() if isinstance(end, TrainingStopped)}
    assert reasons == {
        "interrupted": "interrupted", "no_validation": "interrupted", "diverged": "diverged",
        "nan": "diverged", "nan_at_once": "diverged", "one_step": "finished",
        "lost_model": "finished", "lost_all": "finished",
    }  # fmt: skip
    evaluated = {s for s in STATES if any(isinstance(r, Epoch) for r in read_events(states / s))}
    assert evaluated == {"interrupted", "nan", "one_step", "lost_model", "lost_all"}
    losses = [r.loss for r in read_events(states / "diverged") if isinstance(r, Step)]
    assert max(losses) < float("inf")
    assert losses[-1] > 7  # guessing costs 5.7


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("verb", READS)
def test_verbs_that_read_work_in_every_state(
    descend: Descend, run_in: Path, state: str, verb: str
) -> None:
    done = descend(verb, run_in, *MORE.get(verb, []))
    assert done.code == 0, done.err
    assert len(done.out.split()) > 3
    check_suggestions(descend, done.out + done.err, run_in, state)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("verb", USES)
def test_verbs_that_use_a_model_work_or_suggest_what_does(
    descend: Descend, run_in: Path, state: str, verb: str
) -> None:
    done = descend(verb, run_in, *MORE.get(verb, []))
    if (state, verb) in MAY_USE:
        assert done.code == 0, done.err
        return
    assert done.code == 2
    assert suggested(done.err), done.err
    check_suggestions(descend, done.err, run_in, state)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("page", ["learning_rate", "overfitting"])
def test_pages_read_a_run_in_every_state(
    descend: Descend, run_in: Path, state: str, page: str
) -> None:
    done = descend("explain", page, "--run", run_in)
    if state in ("no_validation", "diverged", "nan_at_once"):  # no epoch has ended
        assert done.code == 2
        assert suggested(done.err), done.err
        return
    assert done.code == 0, done.err


@pytest.mark.parametrize("state", STATES)
def test_chat_works_or_suggests_what_does(descend: Descend, run_in: Path, state: str) -> None:
    done = descend("chat", run_in, "--max-new-tokens", "2", stdin="The cat\n")
    if (state, "generate") in MAY_USE:
        assert done.code == 0, done.err
        return
    assert done.code == 2
    assert suggested(done.err), done.err


@pytest.mark.parametrize("state", STATES)
def test_list_names_the_state(descend: Descend, run_in: Path, state: str) -> None:
    expected = {
        "interrupted": "unfinished", "no_validation": "unfinished", "diverged": "diverged",
        "nan": "diverged", "nan_at_once": "diverged", "one_step": "finished",
        "lost_model": "model lost", "lost_all": "model lost",
    }  # fmt: skip
    (listed,) = descend("list", ".", "--json").json["runs"]
    assert listed["state"] == expected[state]


def test_next_command_after_training_works(
    descend: Descend, text_file: Path, tiny_file: Path
) -> None:
    for steps in ("2", "40"):
        done = descend("train", text_file, "--config", tiny_file, "--max-steps", steps)
        (words,) = suggested(done.err)
        extra = ["--no-trials"] if words[0] == "diagnose" else []
        again = descend(*words, *extra)
        assert again.code == 0, (words, again.err)


TYPED: set[tuple[str, ...]] = set()
"""A state and the words of a command that worked in it: each is typed once."""


def check_suggestions(descend: Descend, said: str, run: Path, state: str) -> None:
    """Each command in `said` works in the state that `run` is in."""
    backup = run.with_name("kept")
    for words in suggested(said):
        if words[0] == "diagnose":
            words = [*words, "--no-trials"]
        if words[0] == "continue":
            words = [*words, "--max-steps", "3"]
        if words[0] == "train":
            words = [*words, "--max-steps", "3"]
        if (state, *words) in TYPED:
            continue
        TYPED.add((state, *words))
        shutil.copytree(run, backup)
        done = descend(*words)
        assert done.code == 0, (words, done.err)
        shutil.rmtree(run)
        backup.rename(run)


@pytest.mark.parametrize("state", ["lost_model"])
def test_resume_writes_a_lost_model_again_as_it_was(
    descend: Descend, run_in: Path, state: str
) -> None:
    before = json.loads((run_in / "manifest.json").read_text())["model.safetensors"]
    assert descend("resume", run_in).code == 0
    assert (run_in / "model.safetensors").is_file()
    assert json.loads((run_in / "manifest.json").read_text())["model.safetensors"] == before


def test_an_exploded_run_says_so_with_its_step_and_the_fix(
    descend: Descend, tiny_file: Path, text_file: Path
) -> None:
    words = (
        "train",
        text_file,
        "--config",
        tiny_file,
        "--learning-rate",
        "1",
        "--divergence-rollback",
        "off",
        "--schedule",
        "constant",
        "--attention",
        "matmul",
        "--save-dir",
    )
    done = descend(*words, "run")
    assert done.code == 1
    assert done.out == ""
    assert re.search(r"error: step \d+ \(epoch 1\): .* but found a loss that exploded", done.err)
    assert "Fix: The learning_rate of 1 is probably too high (the default is 0.001)" in done.err
    last = done.err.splitlines()[-1]
    assert last == "next: descend train --from-run run --learning-rate 0.001"
    assert descend(*shlex.split(last)[2:]).code == 0
    error = json.loads(descend(*words, "again", "--json").out)["error"]
    assert error["kind"] == "DivergedError"
    assert error["exit_code"] == 1
    assert error["next"] == "descend train --from-run again --learning-rate 0.001"
