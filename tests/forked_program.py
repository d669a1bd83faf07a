"""`descend` in a process of its own that is forked from one that has imported everything.

The import of torch takes seconds on a busy core, and tests start about a hundred such processes.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

IMPORTED = ["torch", "descend.cli.main", "descend.cli.studio", "descend.api.model",
            "descend.training.trainer", "descend.web.studio.app"]  # fmt: skip


@dataclass(frozen=True)
class ForkedProgram:
    """A process that can be waited for as one of `subprocess.Popen`."""

    process: BaseProcess

    @property
    def pid(self) -> int:
        """The number of the process."""
        assert self.process.pid is not None
        return self.process.pid

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        return self.process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, once it has ended."""
        self.process.join(timeout)
        code = self.process.exitcode
        assert code is not None, f"it runs after {timeout} seconds"
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


def start_descend(words: list[str], errors: Path) -> ForkedProgram:
    """Start `descend WORDS`, with this folder and environment, and standard error in a file."""
    can_fork = "forkserver" in multiprocessing.get_all_start_methods()  # all but Windows
    context = multiprocessing.get_context("forkserver" if can_fork else "spawn")
    context.set_forkserver_preload(IMPORTED)
    process = context.Process(
        target=_run_descend, args=(words, str(errors), os.getcwd(), dict(os.environ))
    )
    process.start()
    return ForkedProgram(process)


def _run_descend(words: list[str], errors: str, folder: str, environment: dict[str, str]) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    file = os.open(errors, os.O_WRONLY | os.O_APPEND)
    os.dup2(file, 2)
    os.close(file)
    sys.argv = ["descend", *words]
    from descend.cli.main import main

    main()
