"""Makes one file call of this process go wrong, and proves from a log that it did.

The library (`fault_injection.c`) is preloaded. Where no C compiler is here, or the system is not
Linux, `MissingToolError` says so: what cannot be tried is never counted as passed.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

KINDS = (
    "watch",
    "kill before",
    "kill after",
    "error",
    "errors from there on",
    "short write",
    "short write, then errors",
    "flipped bit",
    "power cut before",
    "power cut after",
)
"""In the order of the enum of the library."""

WRITES = ("write", "writev")
SOURCE = Path(__file__).with_name("fault_injection.c")


class MissingToolError(Exception):
    """What is not on this machine."""


@dataclass(frozen=True)
class Call:
    """A call that changes a file or folder."""

    number: int
    name: str
    fired: bool
    result: int
    path: str
    other: str
    """The new path of a rename; the size of a truncation."""
    data: bytes


def compile_library(folder: Path) -> Path:
    """Compile the library into `folder`; `MissingToolError` where that is not possible."""
    compiler = next(filter(None, map(shutil.which, ("gcc", "cc", "clang"))), None)
    if not sys.platform.startswith("linux") or compiler is None:
        raise MissingToolError("Linux with a C compiler")
    library = folder / "fault_injection.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE)],
                   check=True)  # fmt: skip
    return library


def restart_preloaded() -> None:
    """Run this very program again with the library preloaded, unless it is."""
    if "DESCEND_FAULTS" in os.environ:
        folder = Path(os.environ["DESCEND_FAULTS"]).parent
        shutil.rmtree(folder, ignore_errors=True)  # it is loaded
        os.environ.pop("LD_PRELOAD", None)  # no other program needs it
        return
    library = compile_library(Path(tempfile.mkdtemp(prefix="descend-faults-")))
    environment = os.environ | {"LD_PRELOAD": str(library), "DESCEND_FAULTS": str(library),
                                "OMP_NUM_THREADS": "1"}  # fmt: skip
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


def run_preloaded(main: Callable[[], None]) -> None:
    """Run `main` with the library preloaded; exit with what is missing where it cannot be."""
    try:
        restart_preloaded()
    except MissingToolError as missing:
        sys.exit(f"not run: it needs {missing}")
    main()


def arm(folder: Path, log: Path, kind: str, at: int = 0, error: int = 0, mount: int = -1) -> None:
    """Count calls below `folder` from now on; call number `at` meets a fault of `kind`."""
    library = ctypes.CDLL(None)
    arm_library = library.fault_arm
    arm_library.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_long, *[ctypes.c_int] * 3]
    if not arm_library(os.fsencode(folder), os.fsencode(log), at, KINDS.index(kind), error, mount):
        raise OSError(f"cannot write {log}")


def disarm() -> None:
    """Count no more."""
    ctypes.CDLL(None).fault_disarm()


def read_calls(log: Path) -> list[Call]:
    """The calls in a log, in order."""
    content = log.read_bytes() if log.exists() else b""
    calls, start = [], 0
    while start < len(content):
        end = content.index(b"\n", start)
        number, name, fired, result, *lengths = content[start:end].split(b" ")
        parts, start = [], end + 1
        for length in map(int, lengths):
            parts.append(content[start : start + length])
            start += length
        calls.append(
            Call(int(number), name.decode(), fired == b"1", int(result),
                 os.fsdecode(parts[0]), os.fsdecode(parts[1]), parts[2])
        )  # fmt: skip
    return calls
