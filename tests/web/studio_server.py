"""`descend studio` in a process of its own, for the tests of its interface and of its page."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forked_program import ForkedProgram, start_descend

TINY_SETTINGS = {
    "embed_dim": 16, "num_heads": 2, "num_layers": 2, "ff_dim": 32, "max_seq_len": 32,
    "seq_len": 16, "batch_size": 4, "vocab_size": 300, "precision": "float32", "threads": 1,
    "attention": "matmul", "compile": "off",
}  # fmt: skip


@dataclass
class RunningStudio:
    """`descend studio` in a process of its own."""

    folder: Path
    process: ForkedProgram | subprocess.Popen[bytes]
    terminal: Path
    """What the terminal shows."""
    key: str

    @property
    def link(self) -> str:
        """The newest link that the terminal shows: each works once."""
        return str(re.findall(r"http://\S+", self.terminal.read_text())[-1])

    @property
    def address(self) -> str:
        """Scheme, host, and port."""
        return self.link.split("/?")[0]

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and JSON of a request with the key for scripts."""
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body)
        content = data.encode() if isinstance(data, str) else data
        request = urllib.request.Request(
            f"{self.address}/api/v1{path}", content, method=method,
            headers={"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"},
        )  # fmt: skip
        try:
            with urllib.request.urlopen(request, timeout=600) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as problem:
            return problem.code, json.load(problem)

    def wait_for_state(self, run: str, *states: str, seconds: float = 90) -> dict[str, Any]:
        """The details of `run` once it is in one of `states`."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            _, details = self.ask("GET", f"/runs/{run}")
            if details.get("state") in states:
                return details
            time.sleep(0.2)
        raise AssertionError(f"{run} is {details.get('state')}: {details.get('log')}")

    def kill(self) -> None:
        """End the server at once, as a crash would."""
        self.process.kill()
        self.process.wait()


@dataclass
class Studios:
    """Starts servers, and ends them and all that they started."""

    started: list[RunningStudio] = field(default_factory=list)

    def start(self, folder: Path, *arguments: str, is_forked: bool = True) -> RunningStudio:
        """A server over `folder`, once it answers; forked, its command line is another."""
        words = ["studio", str(folder), "--no-browser", *arguments]
        if "--port" not in arguments:
            words += ["--port", str(free_port())]
        with tempfile.NamedTemporaryFile(delete=False) as terminal:
            printed = Path(terminal.name)
            process = (
                start_descend(words, printed)
                if is_forked and "COVERAGE_RUN" not in os.environ  # it follows no fork
                else subprocess.Popen([sys.executable, "-m", "descend", *words], stderr=terminal)
            )
        while "http://" not in printed.read_text() and process.poll() is None:
            time.sleep(0.05)
        assert "http://" in printed.read_text(), printed.read_text()
        key = (folder / ".studio" / "api_key").read_text()
        studio = RunningStudio(folder, process, printed, key)
        self.started.append(studio)
        return studio

    def end(self) -> None:
        """End servers and jobs."""
        for studio in self.started:
            studio.process.terminate()
            studio.process.wait(timeout=20)
            for file in (studio.folder / ".studio" / "jobs").glob("*.job"):
                job = json.loads(file.read_text().partition("\n")[2])
                if job["pid"] is not None and job["ended_at"] is None:
                    try:
                        os.kill(job["pid"], signal.SIGKILL)
                    except ProcessLookupError:
                        continue
        printed = [studio.terminal.read_text() for studio in self.started]
        for studio in self.started:
            studio.terminal.unlink()
        assert not any("Traceback" in text for text in printed), "\n".join(printed)


def free_port() -> int:
    """A port that nothing listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def stop_job(jobs: Any, run: str) -> None:
    """Stop the job of `run`, and wait until its process has ended."""
    jobs.stop(run)
    until = time.monotonic() + 60
    while jobs.is_active(run):
        assert time.monotonic() < until
        time.sleep(0.05)
        jobs.refresh()


def copy_run(trained: Path, folder: Path, name: str = "first") -> None:
    """Put the run at `trained` into the workspace `folder`."""
    (folder / "models").mkdir(exist_ok=True)
    shutil.copytree(trained, folder / "models" / name)
