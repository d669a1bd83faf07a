"""Requests as no client writes them, byte by byte to a real server: none is answered with a run."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

HOST = "127.0.0.1:9999"
ORIGIN = f"http://{HOST}"

HOSTS = (
    "127.0.0.1.:9999", "127.0.0.1:09999", "0x7f.1:9999", "127.1:9999", "2130706433:9999",
    "[::1]:9999", "[::ffff:127.0.0.1]:9999", "user@127.0.0.1:9999", "127.0.0.1:9999,evil.example",
    "127.0.0.1:9999 evil.example", "127.0.0.1:9999/", "127.0.0.1:9999#", "\t127.0.0.1:9999",
    "\u00b9\u00b27.0.0.1:9999", "localhost.:9999", "*:9999",
)  # fmt: skip
ORIGINS = (
    f"{ORIGIN}/", f"{ORIGIN} ", f" {ORIGIN}", f"{ORIGIN}, http://evil.example", "http://127.0.0.1",
    "http://user@127.0.0.1:9999", "file://", "chrome-extension://abc", "http://[::1]:9999",
    "HTTP://127.0.0.1:9999/x", "data:", "blob:http://127.0.0.1:9999/1", "",
)  # fmt: skip


@pytest.mark.parametrize("host", HOSTS)
def test_host_that_only_looks_like_ours_is_refused(services: Any, ask: Any, host: str) -> None:
    key = {"authorization": f"Bearer {services.credentials.key}"}
    forwarded = {"x-forwarded-host": HOST, "forwarded": f"host={HOST}", "x-original-url": "/login"}
    for path in ("/api/v1/runs", "/login", "/"):
        assert ask("GET", path, {"host": host, **key, **forwarded})[0] == 421, path


@pytest.mark.parametrize("origin", ORIGINS)
def test_origin_that_only_looks_like_ours_is_refused(services: Any, ask: Any, origin: str) -> None:
    headers = {
        "host": HOST, "authorization": f"Bearer {services.credentials.key}", "origin": origin,
        "referer": f"{ORIGIN}/", "sec-fetch-site": "same-origin",
    }  # fmt: skip
    for method, path in (("GET", "/api/v1/runs"), ("DELETE", "/api/v1/runs/a"), ("POST", "/login")):
        assert ask(method, path, headers)[0] == 403, path


@pytest.mark.parametrize("headers", [
    {"sec-fetch-site": "Cross-Site"}, {"sec-fetch-site": "cross-site, same-origin"},
    {"sec-fetch-site": ""}, {"authorization": "bearer KEY"}, {"authorization": "Bearer  KEY"},
    {"authorization": "Bearer KEY "}, {"authorization": "Bearer KEY, Bearer x"},
    {"authorization": "Basic KEY"}, {"authorization": ""}, {"cookie": "descend_studio_9999"},
    {"cookie": "descend_studio_9999="}, {"cookie": "descend_studio_9999=KEY"},
    {"cookie": 'descend_studio_9999="KEY"'}, {"cookie": "=" * 4000}, {"x-api-key": "KEY"},
    {"x-http-method-override": "GET"}, {"authorization": "Bearer \xff"},
])  # fmt: skip
def test_credential_that_only_looks_like_ours_is_refused(
    services: Any, ask: Any, headers: dict[str, str]
) -> None:
    named = {k: v.replace("KEY", services.credentials.key) for k, v in headers.items()}
    status = ask("GET", "/api/v1/runs", {"host": HOST, **named})[0]
    assert status == (403 if "sec-fetch-site" in headers else 401)


Write = Callable[[str, str], bytes]

CONNECTIONS: dict[str, Write] = {
    "another host in the target": lambda host, key: (
        f"GET http://evil.example/api/v1/runs HTTP/1.1\r\nHost: evil.example\r\n{key}\r\n".encode()
    ),
    "no host": lambda host, key: f"GET /api/v1/runs HTTP/1.0\r\n{key}\r\n".encode(),
    "two hosts": lambda host, key: (
        f"GET /api/v1/runs HTTP/1.1\r\nHost: {host}\r\nHost: {host}\r\n{key}\r\n".encode()
    ),
    "two keys": lambda host, key: (
        f"GET /api/v1/runs HTTP/1.1\r\nHost: {host}\r\n{key}{key}\r\n".encode()
    ),
    "the preface of HTTP/2": lambda host, key: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "all of the server": lambda host, key: (
        f"OPTIONS * HTTP/1.1\r\nHost: {host}\r\n{key}\r\n".encode()
    ),
    "a tunnel": lambda host, key: (
        f"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: {host}\r\n{key}\r\n".encode()
    ),
    "two lengths": lambda host, key: (
        f"POST /api/v1/plan HTTP/1.1\r\nHost: {host}\r\n{key}Content-Length: 2\r\n"
        "Content-Length: 40\r\n\r\n{}GET /api/v1/runs HTTP/1.1\r\n\r\n".encode()
    ),
    "a length and chunks": lambda host, key: (
        f"POST /login HTTP/1.1\r\nHost: {host}\r\n{key}Content-Length: 4\r\n"
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /api/v1/runs HTTP/1.1\r\n\r\n".encode()
    ),
    "a folded header": lambda host, key: (
        f"GET /api/v1/runs HTTP/1.1\r\nHost: {host}\r\nX: a\r\n Authorization: b\r\n\r\n".encode()
    ),
    "NUL in a header": lambda host, key: (
        f"GET /api/v1/runs HTTP/1.1\r\nHost: {host}\0\r\n{key}\r\n".encode()
    ),
    "no request": lambda host, key: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xff" * 500,
}


def test_connection_of_odd_bytes_gets_no_answer_of_the_application(studio: Any) -> None:
    host = studio.address.removeprefix("http://")
    name, port = host.split(":")
    for kind, write in CONNECTIONS.items():
        with socket.create_connection((name, int(port)), timeout=30) as connection:
            try:
                connection.sendall(write(host, f"Authorization: Bearer {studio.key}\r\n"))
                connection.shutdown(socket.SHUT_WR)
                answer = connection.recv(65_536)
            except (ConnectionError, TimeoutError):
                answer = b""
        assert not answer or answer.split()[1].startswith(b"4"), (kind, answer[:200])
    upgrade = (
        f"GET /api/v1/runs HTTP/1.1\r\nHost: {host}\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    with socket.create_connection((name, int(port)), timeout=30) as connection:
        connection.sendall(upgrade.encode())
        assert b" 401 " in connection.recv(65_536).split(b"\r\n")[0]
    assert studio.process.poll() is None
    assert studio.ask("GET", "/runs")[0] == 200
