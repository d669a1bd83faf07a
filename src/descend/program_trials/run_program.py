"""One trial of a program: its command in a copy of its folder, and the metric that it prints."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from descend.errors import ConfigError
from descend.program_check.scratch_copy import copy_to_scratch, path_in_scratch
from descend.program_trials import seeded_main
from descend.program_trials.metric_output import read_metric

OUTPUT_BYTES = 2**26
"""Of what a program prints, the end is read: 64 MiB."""


class ProgramTrial(msgspec.Struct, frozen=True):
    """One run of the program; `loss` is None where it failed or printed no metric."""

    changes: dict[str, float]
    seed: int
    seconds: float
    loss: float | None
    problem: str | None = None


def run_program(
    words: Sequence[str], metric: str, timeout: float, seed: int | None = None
) -> tuple[float | None, float, str | None]:
    """Run a command in a copy of its folder; returns metric, seconds, and what went wrong.

    Files that the program writes go with the copy. It is stopped after `timeout` seconds. With
    `seed` the script is run by `seeded_main`, since it has no flag for that.
    """
    script = find_script(words)
    with tempfile.TemporaryDirectory(prefix="descend-trial-", ignore_cleanup_errors=True) as aside:
        folder = copy_to_scratch(script or ".", Path(aside))
        command = list(words)
        if command[0] in ("python", "python3"):
            command[0] = sys.executable
        if script is not None:
            index = command.index(script)
            command[index] = path_in_scratch(script, folder)
            if seed is not None:
                command[index:index] = [seeded_main.__file__, str(seed)]
        return _run(command, folder, Path(aside) / "output", metric, timeout)


def find_script(words: Sequence[str]) -> str | None:
    """Return the Python file of a command, None where it runs none."""
    return next((word for word in words if word.endswith(".py") and Path(word).is_file()), None)


def _run(
    words: Sequence[str], folder: Path, output: Path, metric: str, timeout: float
) -> tuple[float | None, float, str | None]:
    began = time.monotonic()
    with output.open("wb") as file:
        try:
            process = subprocess.Popen(
                words, cwd=folder, stdin=subprocess.DEVNULL, stdout=file,
                stderr=subprocess.STDOUT, start_new_session=True,
                env=os.environ | {"PYTHONUNBUFFERED": "1", "WANDB_MODE": "disabled"},
            )  # fmt: skip
        except OSError as problem:
            raise ConfigError(
                "--program", f"{words[0]} ({problem.strerror})", "a program that starts",
                "check the command",
            ) from None  # fmt: skip
        try:
            code: int | None = process.wait(timeout)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            _stop(process)
    seconds = time.monotonic() - began
    text = _read_end(output)
    if code is None:
        return None, seconds, f"it ran longer than {timeout:.0f} s"
    if code != 0:
        last = text.strip().splitlines()
        return None, seconds, f"exit code {code}: {last[-1][:200] if last else 'no output'}"
    value = read_metric(text, metric)
    return value, seconds, None if value is not None else f"it printed no {metric}"


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the program and the processes that it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _read_end(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - OUTPUT_BYTES))
        return file.read().decode(errors="replace")
