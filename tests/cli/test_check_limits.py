"""`descend check` of programs that end, hang, fill the memory, write files or want arguments."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .test_check import without_progress

Descend = Callable[..., Any]
SLOW = pytest.mark.slow

PROGRAM = """
import os, sys, threading, time
import torch
from torch import nn

torch.manual_seed(0)
V = 50
data = torch.randint(0, V, (96, 17))

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.rnn, self.head = nn.Embedding(V, 16), nn.GRU(16, 16, batch_first=True), nn.Linear(16, V)

    def forward(self, ids):
        return self.head(self.rnn(self.table(ids))[0])

START
model = Model()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)
batches = list(data.split(4))

def step(batch):
    loss = nn.functional.cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    STEP
    return loss
"""  # noqa: E501


@pytest.fixture
def check(descend: Descend, own_folder: Path) -> Callable[..., Any]:
    """`descend check` of the program with lines put in."""

    def run(*words: str, start: str = "", step: str = "") -> Any:
        source = PROGRAM.replace("START", start).replace("STEP", step)
        (own_folder / "mine.py").write_text(source, encoding="utf-8")
        return descend("check", "mine.py", *words)

    return run


@pytest.mark.parametrize("step", [
    "sys.exit(0)", pytest.param("raise KeyboardInterrupt", marks=SLOW),
])  # fmt: skip
def test_step_that_exits_is_not_checked(check: Callable[..., Any], step: str) -> None:
    done = check(step=step)
    assert done.code == 3
    assert "no bug found" not in done.out
    assert "`step` ended the program" in done.out


@pytest.mark.parametrize(
    ("start", "words"),
    [
        ("os._exit(0)", "exit code 0"),
        pytest.param("os.abort()", "SIGABRT", marks=SLOW),
        pytest.param("sys.exit('usage: a rate')", "usage: a rate", marks=SLOW),
        pytest.param("raise RuntimeError('no GPU')", "no GPU", marks=SLOW),
    ],
)
def test_program_that_ends_on_import_is_not_checked(
    check: Callable[..., Any], start: str, words: str
) -> None:
    done = check(start=start)
    assert (done.code, done.out) == (3, "")
    assert without_progress(done.err).count("\n") == 1
    assert words in done.err


def test_crash_keeps_what_was_known(check: Callable[..., Any]) -> None:
    done = check("--json", start="def evaluate():\n    os._exit(0)")
    assert done.code == 3
    result = json.loads(done.out)
    assert "exit code 0 while dropout_in_evaluation was looked for" in result["ended"]
    assert "causal_mask_missing" in result["checked"]


def test_time_limit_ends_a_program_that_hangs(check: Callable[..., Any]) -> None:
    began = time.monotonic()
    done = check("--timeout", "2", start="time.sleep(1000)")
    assert done.code == 3
    assert "longer than 2 seconds" in done.err
    assert time.monotonic() - began < 20


@SLOW
def test_memory_limit_ends_a_program_that_takes_more(check: Callable[..., Any]) -> None:
    done = check("--memory", "1.5", start="held = [torch.ones(2**27) for _ in range(40)]")
    assert done.code == 3
    assert "memory" in done.err


@SLOW
def test_arguments_reach_the_program(check: Callable[..., Any]) -> None:
    start = "import argparse; p = argparse.ArgumentParser(); p.add_argument('--lr', required=True); p.parse_args()"  # noqa: E501
    assert check("--", "--lr", "1e-3", start=start).code == 0


def test_folder_is_left_alone_unless_in_place(check: Callable[..., Any], own_folder: Path) -> None:
    (own_folder / "notes.txt").write_text("mine")
    start = "assert open('notes.txt').read(); open('notes.txt', 'w').write('gone'); os.mkdir('out')"
    assert check(start=start).code == 0
    assert (own_folder / "notes.txt").read_text() == "mine"
    assert not (own_folder / "out").exists()


@SLOW
def test_in_place_works_in_the_folder(check: Callable[..., Any], own_folder: Path) -> None:
    assert check("--in-place", start="os.mkdir('out')").code == 0
    assert (own_folder / "out").exists()


@SLOW
def test_output_threads_and_atexit_do_not_matter(check: Callable[..., Any]) -> None:
    start = ("import atexit; atexit.register(time.sleep, 1000); print('x' * 10**6); "
             "threading.Thread(target=time.sleep, args=(1000,)).start()")  # fmt: skip
    done = check("--timeout", "60", start=start)
    assert (done.code, without_progress(done.err)) == (0, "")
    assert done.out.startswith("mine.py: no bug found")
