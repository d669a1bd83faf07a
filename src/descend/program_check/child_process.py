"""A program checked in a process of its own, with limits of time and memory.

Whatever the program does (exit, crash, hang, fill the memory, start threads and processes) ends
the child and not the command line. What the checks came to by then is kept.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import msgspec

from descend import errors
from descend.machine import available_memory_bytes
from descend.program_check.bug_report import (
    Checked,
    NotChecked,
    ProgramEndedError,
    ProgramError,
)
from descend.program_check.program_path import find_program_file
from descend.program_check.scratch_copy import copy_to_scratch, path_in_scratch
from descend.progress import ProgressCallback, ignore_progress

TIMEOUT_SECONDS = 300.0
MEMORY_FRACTION = 0.75
"""Of the memory that is free: what a program may take where nothing else is requested."""

MIN_MEMORY_BYTES = 2**31
POLL_SECONDS = 0.05
MEMORY_POLL_SECONDS = 0.25
OUTPUT_LINES = 20
"""Last lines of the program's output that are kept."""

STARTED = "it was started"
NOT_REACHED = "the check ended before it was looked for"


class ChildRequest(msgspec.Struct, frozen=True):
    """The request to the child process."""

    spec: str
    arguments: list[str]
    reply: str
    """The file that the child writes its `ChildReply` to."""
    max_memory_bytes: int
    parent: int
    """Process to end with."""


class ChildReply(msgspec.Struct, frozen=True):
    """What the child came to by now; written anew after each check."""

    checked: Checked | None = None
    error: list[str] | None = None
    """The four facts of a `ProgramError`."""
    has_ended: bool = False
    """Whether the error is that the program ended."""
    is_final: bool = False
    stage: str = "it was imported"
    """What went on when this was written, after the word "while"."""


@dataclass(frozen=True)
class CheckLimits:
    """What a program may take while it is checked."""

    timeout_seconds: float = TIMEOUT_SECONDS
    max_memory_bytes: int | None = None
    """None: `MEMORY_FRACTION` of what is free."""
    in_place: bool = False
    """Work in the program's folder itself instead of a copy."""


def check_in_child(
    spec: str,
    arguments: Sequence[str] = (),
    limits: CheckLimits | None = None,
    progress: ProgressCallback = ignore_progress,
) -> Checked:
    """Check the program `spec` (a path or a dotted name), run with `arguments`, in a child.

    `progress` receives what the child does, again and again.
    Raises `ProgramError` for what is no program, and `ProgramEndedError` for one that ended
    before anything was looked for.
    """
    limits = limits or CheckLimits()
    find_program_file(spec)
    with tempfile.TemporaryDirectory(prefix="descend-check-") as name:
        folder = Path(name)
        work = Path.cwd() if limits.in_place else copy_to_scratch(spec, folder / "copy")
        inside = spec if limits.in_place else path_in_scratch(spec, work)
        memory = limits.max_memory_bytes or default_memory_bytes()
        reply = folder / "reply.json"
        request = ChildRequest(inside, list(arguments), str(reply), memory, os.getpid())
        (folder / "request.json").write_bytes(msgspec.json.encode(request))
        ending, output = _run_child(
            folder / "request.json", work, limits.timeout_seconds, memory,
            lambda: progress(*stage_of(_read_reply(reply))),
        )  # fmt: skip
        return _result_of(spec, _read_reply(reply), ending, output)


def default_memory_bytes() -> int:
    """Return `MEMORY_FRACTION` of the memory that is free, at least `MIN_MEMORY_BYTES`."""
    free = available_memory_bytes()
    return 2**62 if free is None else max(MIN_MEMORY_BYTES, int(MEMORY_FRACTION * free))


def _run_child(
    request: Path, work: Path, timeout_seconds: float, max_memory_bytes: int,
    on_wait: Callable[[], None],
) -> tuple[str, list[str]]:  # fmt: skip
    """Run the child to its end, with `on_wait` called meanwhile.

    Returns how it ended ("" for well) and its last lines.
    """
    package = str(Path(errors.__file__).parents[1])
    path = os.pathsep.join(p for p in (package, os.environ.get("PYTHONPATH", "")) if p)
    child = subprocess.Popen(  # -P: a json.py in the program's folder must not be imported
        [sys.executable, "-P", "-m", "descend.program_check.child_main", str(request)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        cwd=work, env=os.environ | {"PYTHONPATH": path}, start_new_session=True,
    )  # fmt: skip
    assert child.stdout is not None
    lines: deque[bytes] = deque(maxlen=OUTPUT_LINES)
    reader = threading.Thread(target=_keep_last, args=(child.stdout, lines), daemon=True)
    reader.start()
    try:
        ending = _wait_for(child, timeout_seconds, max_memory_bytes, on_wait)
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)  # what the program started ends with it
        child.wait()
        reader.join(timeout=1.0)
        if not reader.is_alive():  # else a process that left the group still holds the pipe
            child.stdout.close()
    return ending, [line.decode(errors="replace").strip() for line in lines]


def _keep_last(stream: IO[bytes], lines: deque[bytes]) -> None:
    """Read what the program prints, which may have no end, and keep the last lines."""
    with suppress(ValueError, OSError):
        while line := stream.readline(4096):
            if line.strip():
                lines.append(line)


def _wait_for(
    child: subprocess.Popen[bytes], timeout_seconds: float, max_memory_bytes: int,
    on_wait: Callable[[], None],
) -> str:  # fmt: skip
    """Wait for the child. Returns why it was ended or how it ended itself; "" for well."""
    start = looked = time.monotonic()
    while True:
        with suppress(subprocess.TimeoutExpired):
            code = child.wait(POLL_SECONDS)
            return "" if code == 0 else _words_of(code)
        now = time.monotonic()
        if now - start > timeout_seconds:
            return f"it took longer than {timeout_seconds:g} seconds"
        if now - looked > MEMORY_POLL_SECONDS:
            looked = now
            on_wait()
            if resident_bytes(child.pid) > max_memory_bytes:
                return f"it took more than {_gigabytes(max_memory_bytes)} of memory"


def _words_of(code: int) -> str:
    if code >= 0:
        return f"it ended its process with exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
    return f"it crashed with signal {name}"


def resident_bytes(group: int) -> int:
    """Resident memory of all processes of a process group; 0 where the system does not say."""
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            after_name = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(after_name[2]) == group:
                total += int((folder / "statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    return total


def stage_of(reply: ChildReply) -> tuple[str, float]:
    """Return what the child does, and the fraction of the checks that are done."""
    if reply.checked is None:
        is_loading = reply.stage == STARTED
        return "loading torch" if is_loading else "running up to the first training step", 0.0
    waiting = [n.bug for n in reply.checked.not_checked if n.why == NOT_REACHED]
    total = reply.checked.num_applied + len(reply.checked.not_checked)
    done = total - len(waiting)
    return f"check {min(done + 1, total)} of {total}: {waiting[0] if waiting else 'done'}", (
        done / max(1, total)
    )


def _gigabytes(size: int) -> str:
    return f"{size / 2**30:.3g} GB"


def _read_reply(path: Path) -> ChildReply:
    try:
        return msgspec.json.decode(path.read_bytes(), type=ChildReply)
    except (OSError, msgspec.MsgspecError):
        return ChildReply(stage=STARTED)


def _result_of(spec: str, reply: ChildReply, ending: str, output: list[str]) -> Checked:
    """Return the result in the child's reply, or what is left of it when the child was ended."""
    last = f"; its last line: {output[-1][:120]!r}" if output else ""
    if reply.error is not None:
        _, *facts = reply.error
        if not reply.has_ended:
            raise ProgramError(spec, *facts)
        raise ProgramEndedError(spec, facts[0] + last, *facts[1:])
    if reply.is_final and reply.checked is not None:
        return msgspec.structs.replace(reply.checked, program=spec)
    ended = f"{ending or 'it ended its process with exit code 0'} while {reply.stage}"
    if reply.checked is not None and reply.checked.num_applied:
        return msgspec.structs.replace(
            reply.checked, program=spec, ended=ended,
            not_checked=[n if n.why != NOT_REACHED else NotChecked(n.bug, ended)
                         for n in reply.checked.not_checked],
        )  # fmt: skip
    raise ProgramEndedError(
        spec, f"one that does not ({ended}{last})", "a program that runs up to its first training "
        "step, and whose steps return", "put what trains for long under "
        "`if __name__ == \"__main__\":`, and see --timeout and --memory",
    )  # fmt: skip
