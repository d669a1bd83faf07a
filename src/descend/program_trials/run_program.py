"""One trial of a program: its command in a copy of its folder, and the metric that comes out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

import msgspec

from descend.errors import DescendError
from descend.program_check.scratch_copy import copy_to_scratch, path_in_scratch
from descend.program_trials import seeded_main
from descend.program_trials.metric_output import read_metric, read_metric_table

OUTPUT_BYTES = 2**26
"""Of what a program prints, the end is read: 64 MiB."""


StartCallback = Callable[["subprocess.Popen[bytes]"], object]


def _ignore_start(process: subprocess.Popen[bytes]) -> None:
    """Ignore a process that nobody needs to know of."""


class ProgramTrial(msgspec.Struct, frozen=True):
    """One run of the program; `loss` is None where it failed or printed no metric."""

    changes: dict[str, float]
    seed: int
    seconds: float
    loss: float | None
    problem: str | None = None


class TrialRequest(msgspec.Struct, frozen=True):
    """What a trial takes.

    `metric_file`: a pattern of the file that holds `metric`; None: the metric is printed.
    `shift`: added to the seeds that the script sets, for a program without a flag for the seed.
    """

    words: list[str]
    metric: str
    metric_file: str | None = None
    timeout: float = 3600.0
    shift: int | None = None


class ProgramResult(msgspec.Struct, frozen=True):
    """What a command came to; `loss` is None where there is a problem."""

    loss: float | None
    seconds: float
    problem: str | None = None


def run_program(request: TrialRequest, on_start: StartCallback = _ignore_start) -> ProgramResult:
    """Run a command in a copy of its folder, with which the files that it writes go.

    `on_start` is given the process.
    """
    words = request.words
    script = find_script(words)
    with tempfile.TemporaryDirectory(prefix="descend-trial-", ignore_cleanup_errors=True) as aside:
        try:
            folder = copy_to_scratch(script or ".", Path(aside))
        except DescendError as problem:
            return ProgramResult(None, 0.0, problem.actual)
        command = list(words)
        if command[0] in ("python", "python3"):
            command[0] = sys.executable
        if script is not None:
            index = command.index(script)
            command[index] = path_in_scratch(script, folder)
            if request.shift is not None:
                command[index:index] = [seeded_main.__file__, str(request.shift)]
        with (Path(aside) / "output").open("w+b") as output:
            return _run(request, command, folder, output, on_start)


def find_script(words: Sequence[str]) -> str | None:
    """Return the Python file of a command, None where it runs none."""
    return next((w for w in words if w.endswith(".py") and Path(w).is_file()), None)


def _run(
    request: TrialRequest,
    words: Sequence[str],
    folder: Path,
    output: IO[bytes],
    on_start: StartCallback,
) -> ProgramResult:
    began = time.monotonic()
    try:
        process = subprocess.Popen(
            words, cwd=folder, stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1", "WANDB_MODE": "disabled"},
        )  # fmt: skip
    except OSError as problem:
        return ProgramResult(None, 0.0, f"{words[0]}: {problem.strerror}")
    try:
        on_start(process)
        code: int | None = process.wait(request.timeout)
    except subprocess.TimeoutExpired:
        code = None
    finally:
        stop_process(process)
    seconds = time.monotonic() - began
    text = _read_end(output)
    if code is None:
        return ProgramResult(None, seconds, f"it ran longer than {request.timeout:.0f} s")
    if code != 0:
        last = text.strip().splitlines()
        return ProgramResult(
            None, seconds, f"exit code {code}: {last[-1][:200] if last else 'no output'}"
        )
    if request.metric_file is None:
        value, place = read_metric(text, request.metric), "it printed"
    else:
        value, place = _read_file(folder, request), f"{request.metric_file} has"
    missing = None if value is not None else f"{place} no {request.metric}"
    return ProgramResult(value, seconds, missing)


def _read_file(folder: Path, request: TrialRequest) -> float | None:
    """Return the metric in the newest file that the pattern matches."""
    assert request.metric_file is not None
    files = [path for path in folder.glob(request.metric_file) if path.is_file()]
    if not files:
        return None
    newest = max(files, key=lambda path: path.stat().st_mtime_ns)
    read = read_metric_table if newest.suffix == ".csv" else read_metric
    with newest.open("rb") as file:
        return read(_read_end(file), request.metric)


def stop_process(process: subprocess.Popen[bytes]) -> None:
    """End a program of `run_program` and the processes that it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _read_end(file: IO[bytes]) -> str:
    file.seek(max(0, file.seek(0, os.SEEK_END) - OUTPUT_BYTES))
    return file.read().decode(errors="replace")
