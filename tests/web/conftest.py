"""A studio over an empty folder: as an application, and as a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from .studio_server import RunningStudio, Studios

pytest.importorskip("fastapi", reason="the extra `studio` is not installed")


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
    """`ask(method, path, headers, body)` gives status, headers and body of one request.

    Its event loop runs in a thread of its own: in this one that of Playwright may run already.
    """
    loop, thread = asyncio.new_event_loop(), ThreadPoolExecutor(1)

    def request(
        method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"",
        chunks: int = 1,
    ) -> tuple[int, dict[str, str], bytes]:  # fmt: skip
        exchanged = exchange(gate, method, path, headers or {}, body, chunks)
        return thread.submit(loop.run_until_complete, exchanged).result()

    yield request
    thread.submit(lambda: loop.run_until_complete(loop.shutdown_default_executor())).result()
    thread.submit(loop.close).result()
    thread.shutdown()


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
