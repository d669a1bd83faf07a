"""Processes that outlive the server: started detached, and known again after a restart."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from descend.guard import is_alive

COMMAND = (sys.executable, "-P", "-m", "descend")


def start_detached(arguments: list[str], folder: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start `descend ARGUMENTS` in `folder`, in a session of its own, its output in `log`."""
    options: dict[str, Any] = {"start_new_session": True}
    if os.name == "nt":
        flags = ("DETACHED_PROCESS", "CREATE_NEW_PROCESS_GROUP")
        options = {"creationflags": sum(getattr(subprocess, flag, 0) for flag in flags)}
    log.unlink(missing_ok=True)  # a link that stands there would be followed
    with log.open("xb") as output:
        child: subprocess.Popen[bytes] = subprocess.Popen(
            [*COMMAND, *arguments], cwd=folder, stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, env=child_environment(), **options,
        )  # fmt: skip
    return child


def child_environment() -> dict[str, str]:
    """Return the environment of a child: no colors, and this package wherever it was imported
    from."""
    package = str(Path(__file__).parents[3])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {
        "NO_COLOR": "1", "PYTHONUNBUFFERED": "1", "PYTHONPATH": os.pathsep.join(paths),
    }  # fmt: skip


_BOOT = Path("/proc/sys/kernel/random/boot_id")


def process_birth(pid: int) -> str | None:
    """When the process began, and in which boot: with the number it names one process.

    After another start of the machine a number can come again, even at the same time. None where
    that cannot be determined (other systems than Linux).
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = _BOOT.read_text().strip()
    except OSError:
        return None
    return None if fields[0] == "Z" else f"{fields[19]} {boot}"


def process_age(pid: int, birth: str | None) -> float | None:
    """Return the seconds since the process began, whatever was done to the clock; None where that
    is unknown, or it has ended."""
    if birth is None or process_birth(pid) != birth:
        return None
    began = int(birth.split()[0]) / os.sysconf("SC_CLK_TCK")
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - began)


def is_same_process(pid: int, birth: str | None) -> bool:
    """Return whether the process that began at `birth` still runs under the number `pid`."""
    if birth is None:
        return is_alive(pid)
    return process_birth(pid) == birth


def ask_to_stop(pid: int) -> None:
    """Ask a process to save and end."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
