"""A child process in which bytes of a stranger are parsed, with limits that the system keeps.

A parser in native code may hang, abort the process, or fill the memory. In a child each of these
is one answer, `LimitError`, and the caller goes on. The child reads bytes and answers with JSON:
nothing that it says is obeyed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

T = TypeVar("T")

MAX_ANSWER_BYTES = 2**16
"""Longest answer that is taken from a child; descend's own have under 200 bytes."""

_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
    "TOKENIZERS_PARALLELISM": "false",
    "RAYON_NUM_THREADS": "1",
}


class LimitError(Exception):
    """What a child died of, as part of a sentence."""


@dataclass(frozen=True)
class ProcessLimits:
    """What parsing may cost."""

    megabytes: int = 2048
    """Address space."""
    cpu_seconds: int = 30
    """Processor time."""
    timeout_seconds: float = 600.0
    """Time on the clock, long since the machine may be busy."""


def limit_process(limits: ProcessLimits) -> None:
    """Limit this process: memory, processor time, no core file, no byte written to a file.

    Where the system has no such limits (Windows), or a lower one is set, it stays as it is.
    """
    try:
        import resource
    except ImportError:
        return
    seconds = limits.cpu_seconds
    for kind, soft, hard in (
        (resource.RLIMIT_AS, limits.megabytes << 20, limits.megabytes << 20),
        (resource.RLIMIT_CPU, seconds, seconds + 1),
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_FSIZE, 0, 0),
    ):
        try:
            resource.setrlimit(kind, (soft, hard))
        except (ValueError, OSError):  # macOS has no limit of address space
            continue


def forbid_new_files() -> None:
    """Let this process open no file and no socket any more; a no-op on Windows."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
    except (ImportError, ValueError, OSError):
        return


def run_limited(module: str, content: bytes, kind: type[T], limits: ProcessLimits) -> T:
    """Give `content` to `module.main()` in a child, and return its answer, checked as `kind`.

    `LimitError` if the child died, passed a limit, or answered something else.
    """
    child = subprocess.Popen(  # -P: a json.py in the folder of the user must not be imported
        [sys.executable, "-P", "-c", f"from {module} import main; main()",
         str(limits.megabytes), str(limits.cpu_seconds)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env=os.environ | _ENVIRONMENT | {"PYTHONPATH": import_path()},
    )  # fmt: skip
    try:
        answer, _ = child.communicate(content, timeout=limits.timeout_seconds)
    except subprocess.TimeoutExpired:
        raise LimitError(f"not read after {limits.timeout_seconds:g} seconds") from None
    finally:
        child.kill()
        child.wait()
    if child.returncode:
        raise LimitError(_cause_of_death(child.returncode, limits))
    try:
        return msgspec.json.decode(answer[:MAX_ANSWER_BYTES], type=kind)
    except ValueError:  # a DecodeError, or bytes that are no UTF-8
        raise LimitError("no answer from its parser") from None


def answer_limited(parse: Callable[[bytes], object]) -> None:
    """Be the child: limit this process, parse standard input, and print what `parse` returns.

    Whatever `parse` needs to import must be imported before.
    """
    megabytes, cpu_seconds = map(int, sys.argv[1:])
    limit_process(ProcessLimits(megabytes, cpu_seconds))
    content = sys.stdin.buffer.read()
    forbid_new_files()
    sys.stdout.buffer.write(msgspec.json.encode(parse(content)))
    sys.stdout.flush()


def import_path() -> str:
    """Return `PYTHONPATH` by which a child finds this very package, installed or not."""
    root = str(Path(__file__).resolve().parents[1])
    return os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))


def _cause_of_death(code: int, limits: ProcessLimits) -> str:
    if code == -getattr(signal, "SIGXCPU", 0) or code == -getattr(signal, "SIGKILL", 0):
        return f"over {limits.cpu_seconds} seconds to read"
    if code == -signal.SIGABRT:  # so Rust and C++ end when they are refused more memory
        return f"a crash of its parser, or over {limits.megabytes} MB to read"
    return f"a crash of its parser (exit {code})"
