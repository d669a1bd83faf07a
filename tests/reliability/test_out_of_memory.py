"""Memory that is used up: a sentence, the last save stays, and the run goes on from it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from descend.config import make_config
from descend.errors import OutOfMemoryError, is_memory_error
from descend.model.shape import shape_from_run_config
from descend.training.memory import translate_memory_errors
from descend.training.trainer import run_training
from descend.training.training_run import resume_run

PROBLEMS: dict[str, BaseException] = {
    "Python": MemoryError(), "the system": OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
    "torch": RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
}  # fmt: skip


@pytest.mark.parametrize("who", PROBLEMS)
def test_training_without_memory_gives_a_sentence(who: str) -> None:
    config = make_config({})
    with pytest.raises(OutOfMemoryError, match="found no memory left"):
        with translate_memory_errors(config, shape_from_run_config(config, 4096)):
            raise PROBLEMS[who]


def test_other_problems_are_not_of_the_memory() -> None:
    others = (RuntimeError("mat1 and mat2"), OSError(errno.ENOSPC, "full"), ValueError("x"))
    assert not any(map(is_memory_error, others))
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**62, dtype=torch.uint8)
    assert is_memory_error(caught.value)


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS is of Linux")
def test_command_without_memory_gives_a_sentence_and_the_run_goes_on(
    stopped: Any, own_folder: Path
) -> None:
    stopped("run", step=8, steps=(4,))
    code = (
        "import resource, sys\n"
        "from descend.cli.main import run\n"
        "import descend.training.training_run\n"
        "pages = int(open('/proc/self/statm').read().split()[0])\n"
        "limit = pages * resource.getpagesize() + 2**20\n"
        "resource.setrlimit(resource.RLIMIT_AS, (limit, limit))\n"
        "sys.exit(run(['resume', 'run']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode in (1, 2), done.stderr
    assert "Fix:" in done.stderr
    assert "bug" not in done.stderr
    assert "Traceback" not in done.stderr
    state = resume_run(Path("run"))
    assert state.state.step == 8
    list(run_training(state))
    assert Path("run/model.safetensors").exists()
