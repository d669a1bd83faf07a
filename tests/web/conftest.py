"""A studio over an empty folder: as an application, and as a real server."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra `studio` is not installed")

TINY_SETTINGS = {
    "embed_dim": 16, "num_heads": 2, "num_layers": 2, "ff_dim": 32, "max_seq_len": 32,
    "seq_len": 16, "batch_size": 4, "vocab_size": 300, "precision": "float32", "threads": 1,
    "attention": "matmul", "compile": "off",
}  # fmt: skip


@dataclass
class RunningStudio:
    """`descend studio` in a process of its own."""

    folder: Path
    process: subprocess.Popen[str]
    link: str
    key: str

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
            with urllib.request.urlopen(request, timeout=60) as response:
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

    def start(self, folder: Path, *arguments: str) -> RunningStudio:
        """A server over `folder`, once it answers."""
        command = [sys.executable, "-m", "descend", "studio", str(folder), "--no-browser"]
        if "--port" not in arguments:
            command += ["--port", str(free_port())]
        process = subprocess.Popen([*command, *arguments], stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        line = process.stderr.readline()
        match = re.search(r"http\S+", line)
        assert match, line + (process.stderr.read() if process.poll() is not None else "")
        key = (folder / ".studio" / "api_key").read_text()
        studio = RunningStudio(folder, process, match[0], key)
        self.started.append(studio)
        return studio

    def end(self) -> None:
        """End servers and jobs."""
        for studio in self.started:
            studio.process.terminate()
            studio.process.wait(timeout=20)
            if studio.process.stderr is not None:
                studio.process.stderr.close()
            for file in (studio.folder / ".studio" / "jobs").glob("*.job.json"):
                job = json.loads(file.read_text())
                if job["pid"] is not None and job["ended_at"] is None:
                    try:
                        os.kill(job["pid"], signal.SIGKILL)
                    except ProcessLookupError:
                        continue


def free_port() -> int:
    """A port that nothing listens at."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def studios() -> Iterator[Studios]:
    """Starts real servers, which end with the test."""
    all_studios = Studios()
    yield all_studios
    all_studios.end()


@pytest.fixture
def studio(studios: Studios, tmp_path: Path) -> RunningStudio:
    """A real server over an empty folder."""
    folder = tmp_path / "work"
    folder.mkdir()
    return studios.start(folder)


@pytest.fixture
def services(tmp_path: Path) -> Any:
    """The parts of a studio over an empty folder."""
    from descend.web.credentials import Credentials
    from descend.web.studio.services import make_services
    from descend.web.studio.workspace import Workspace

    return make_services(Workspace(tmp_path / "work"), Credentials("correct horse"))


Ask = Callable[..., Any]
HOST = "127.0.0.1:9999"
COOKIE = "descend_studio_9999"


@pytest.fixture
def gate(services: Any) -> Any:
    """The application behind its gate, without a server."""
    from descend.web.studio.app import make_gated_app

    return make_gated_app(services, frozenset({HOST}), COOKIE)


@pytest.fixture
def ask(gate: Any) -> Iterator[Ask]:
    """`ask(method, path, headers, body)` gives status, headers and body of one request."""
    loop = asyncio.new_event_loop()

    def request(
        method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"",
        chunks: int = 1,
    ) -> tuple[int, dict[str, str], bytes]:  # fmt: skip
        return loop.run_until_complete(exchange(gate, method, path, headers or {}, body, chunks))

    yield request
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


async def exchange(
    app: Any, method: str, path: str, headers: dict[str, str], body: bytes, chunks: int
) -> tuple[int, dict[str, str], bytes]:
    """One request to an ASGI application."""
    raw, _, query = path.partition("?")
    from urllib.parse import unquote

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method,
        "scheme": "http", "path": unquote(raw), "raw_path": raw.encode(),
        "query_string": query.encode(), "root_path": "", "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 9999),
        "headers": [(k.lower().encode(), v.encode("latin-1")) for k, v in headers.items()],
    }  # fmt: skip
    size = max(1, -(-len(body) // chunks))
    parts = [body[i : i + size] for i in range(0, len(body), size)] or [b""]
    messages = [
        {"type": "http.request", "body": part, "more_body": n + 1 < len(parts)}
        for n, part in enumerate(parts)
    ]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    answer = {k.decode().lower(): v.decode("latin-1") for k, v in sent[0]["headers"]}
    return sent[0]["status"], answer, b"".join(m.get("body", b"") for m in sent[1:])
