"""Requests that want too much: refused, and the server still answers others, in little memory."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from .studio_server import copy_run

MAX_GROWTH = 100 * 2**20
"""Bytes that the memory of the server may grow by."""

IDLE_SOCKETS = 300

ANSWER_SECONDS = 10
"""Seconds to wait for an answer: a body that never comes gets none."""


def address_of(studio: Any) -> tuple[str, int]:
    host, port = studio.address.removeprefix("http://").split(":")
    return host, int(port)


def memory(studio: Any) -> int:
    """Resident bytes of the server."""
    pages = int(Path(f"/proc/{studio.process.pid}/statm").read_text().split()[1])
    return pages * 4096


def send_raw(studio: Any, content: bytes) -> bytes:
    """What the server answers to these bytes; nothing where it closes, or waits for more."""
    with socket.create_connection(address_of(studio), timeout=ANSWER_SECONDS) as connection:
        try:
            connection.sendall(content)
            return connection.recv(65_536)
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            return b""


def head(studio: Any, method: str, path: str, *extra: str) -> bytes:
    """The head of a request with the key."""
    host, port = address_of(studio)
    lines = [f"{method} /api/v1{path} HTTP/1.1", f"Host: {host}:{port}",
             f"Authorization: Bearer {studio.key}", *extra, "", ""]  # fmt: skip
    return "\r\n".join(lines).encode()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_server_stays_small_and_answers_others(studio: Any) -> None:
    assert studio.ask("GET", "/runs")[0] == 200
    before = memory(studio)
    host, port = address_of(studio)
    idle = [socket.create_connection((host, port), timeout=60) for _ in range(IDLE_SOCKETS)]
    slow = []
    for _ in range(50):
        connection = socket.create_connection((host, port), timeout=60)
        connection.sendall(head(studio, "POST", "/plan", "Content-Length: 1000") + b'{"te')
        slow.append(connection)
    assert studio.ask("GET", "/runs")[0] == 200
    ranges = "Range: bytes=" + ",".join(f"{n}-{n}" for n in range(5000))
    for content in (
        head(studio, "GET", "/runs", "X-Long: " + "a" * 2**20),
        head(studio, "GET", "/runs", *(f"X-{n}: a" for n in range(50_000))),
        head(studio, "GET", "/runs", ranges),
        head(studio, "GET", "/runs?" + "&".join(["a=1"] * 100_000)),
        head(studio, "POST", "/plan", f"Content-Length: {2**40}"),
        head(studio, "POST", "/plan", "Transfer-Encoding: chunked") + b"FFFFFFFFFFFFFFFF\r\n",
    ):  # fmt: skip
        answer = send_raw(studio, content)
        assert not answer.startswith(b"HTTP/1.1 5"), answer[:200]
    assert studio.ask("GET", "/runs")[0] == 200
    assert memory(studio) - before < MAX_GROWTH
    for connection in (*idle, *slow):
        connection.close()


def test_numbers_and_lists_have_bounds(studio: Any, trained: Path) -> None:
    copy_run(trained, studio.folder, "first")
    for path, body in (
        ("/runs/first/generate", {"prompt": "a", "max_new_tokens": 10**9}),
        ("/runs/first/generate", {"prompt": "a" * 20_001}),
        ("/runs/first/generate", {"prompt": ["a"] * 10_000}),
        ("/runs/first/inspect", {"text": "a" * 2001}),
        ("/runs/first/inspect", {"text": "a b", "layer": 10**9}),
        ("/runs/first/neighbors", {"token": 10**12}),
        ("/runs/first/ablations", {"text": "a" * 10_000}),
        ("/runs", {"text": "stories", "minutes": 10**9}),
        ("/runs", {"text": "stories", "settings": {str(n): n for n in range(1000)}}),
    ):  # fmt: skip
        assert studio.ask("POST", path, body)[0] == 422, (path, body)
    assert studio.ask("GET", f"/runs/first/curve?points={10**9}")[0] == 422
    assert studio.ask("GET", "/runs/compare?" + "&".join(["run=first"] * 9))[0] == 422
    assert studio.ask("POST", "/runs/first/inspect", {"text": "a" * 200_000})[0] == 413
    body = json.dumps({"tags": ["x"] * 10_000}).encode()
    assert studio.ask("PUT", "/runs/first/annotation", body)[0] == 422
