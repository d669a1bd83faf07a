"""The gate of `descend serve`: every route, with every kind of credential, host, and origin."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the extra `serve` is not installed")

from starlette.routing import Route

import descend
from descend.web.credentials import Credentials
from descend.web.gate import METHODS
from descend.web.serve.app import MAX_BODY_BYTES, PUBLIC, ServedModel, make_app, make_gated_app
from descend.web.serve.engine import Engine

HOST = "127.0.0.1:9999"
ORIGIN = f"http://{HOST}"
KEY = "a key of 21 characters"

# One row a route: method, the path as the application has it, a path to ask for, a body, and the
# status that a request gets that the gate lets through. A route without a row fails the test.
ROWS = [
    ("GET", "/health", "/health", b"", 200),
    ("GET", "/v1/models", "/v1/models", b"", 200),
    ("GET", "/v1/models/{name:path}", "/v1/models/none", b"", 404),
    ("POST", "/v1/completions", "/v1/completions", b"{}", 400),
    ("POST", "/v1/chat/completions", "/v1/chat/completions", b"{}", 400),
]

HOSTS = {
    HOST: True, "127.0.0.1": False, "127.0.0.1:80": False, "evil.example:9999": False,
    "localhost.evil.example:9999": False, f"{HOST}.evil.example": False, "": False, None: False,
}  # fmt: skip
ORIGINS = {
    None: True, ORIGIN: True, f"https://{HOST}": False, "http://127.0.0.1:9998": False,
    "http://evil.example": False, "null": False, "": False, f"{ORIGIN}.evil.example": False,
}  # fmt: skip
CREDENTIALS = {
    "none": ({}, False),
    "key": ({"authorization": f"Bearer {KEY}"}, True),
    "wrong key": ({"authorization": f"Bearer {KEY}x"}, False),
    "empty key": ({"authorization": "Bearer "}, False),
    "other scheme": ({"authorization": f"Basic {KEY}"}, False),
    "key as cookie": ({"cookie": f"descend_studio_9999={KEY}; key={KEY}"}, False),
    "key in the query": ({"x-api-key": KEY}, False),
}  # fmt: skip


@pytest.fixture(scope="module")
def engine_and_model(trained: Path) -> tuple[Engine, ServedModel]:
    model = descend.load(trained)
    context = model.trained_context
    engine = Engine(model.network, model.tokenizer, context)
    return engine, ServedModel("finished", model.tokenizer, context, 0)


@pytest.fixture
def gate(engine_and_model: tuple[Engine, ServedModel]) -> Any:
    """The application behind its gate; its engine stands still, as no test asks for a text."""
    return make_gated_app(*engine_and_model, Credentials(key=KEY), frozenset({HOST}))


def test_every_route_has_a_row(engine_and_model: tuple[Engine, ServedModel]) -> None:
    routes = make_app(*engine_and_model).routes
    assert all(isinstance(route, Route) for route in routes), "no websocket, no mounted application"
    listed = {(method, route.path) for route in routes for method in route.methods - {"HEAD"}}  # type: ignore[attr-defined]
    assert listed == {(method, path) for method, path, *_ in ROWS}


@pytest.mark.parametrize(("method", "route", "path", "body", "status"), ROWS)
def test_each_route_opens_only_with_key_host_and_origin(
    ask: Any, method: str, route: str, path: str, body: bytes, status: int
) -> None:
    tried = 0
    for (kind, (headers, opens)), host, origin in itertools.product(
        CREDENTIALS.items(), HOSTS, ORIGINS
    ):
        named = headers | ({} if host is None else {"host": host})
        named |= {} if origin is None else {"origin": origin}
        requested_path = f"{path}?api_key={KEY}" if kind == "key in the query" else path
        expected = status if opens or (method, route) in PUBLIC else 401
        if not HOSTS[host]:
            expected = 421
        elif not ORIGINS[origin]:
            expected = 403
        assert ask(method, requested_path, named, body)[0] == expected, (kind, host, origin)
        tried += 1
    assert tried == len(CREDENTIALS) * len(HOSTS) * len(ORIGINS)
    for site in ("cross-site", "same-site"):
        headers = {"host": HOST, "authorization": f"Bearer {KEY}", "sec-fetch-site": site}
        assert ask(method, path, headers, body)[0] == 403


@pytest.mark.parametrize("path", [path for _, _, path, _, _ in ROWS] + ["/", "/none", "/docs"])
def test_other_methods_reach_no_handler(ask: Any, path: str) -> None:
    allowed = {method for method, _, row_path, _, _ in ROWS if row_path == path}
    with_key = {"host": HOST, "authorization": f"Bearer {KEY}"}
    for method in (*sorted(METHODS), "OPTIONS", "PATCH", "TRACE", "CONNECT"):
        if method in allowed or (method == "HEAD" and "GET" in allowed):
            continue
        assert ask(method, path, with_key)[0] in (404, 405), method
        assert ask(method, path, {"host": HOST})[0] in (401, 405), method


@pytest.mark.parametrize("route", ["/v1/completions", "/v1/chat/completions"])
@pytest.mark.parametrize("body", [
    b"", b"[]", b"null", b"\xff", b"{" * 100_000, b'{"model":' + b"[" * 200_000,
    b'{"model":"finished","prompt":null}', b'{"model":"finished","prompt":[[]],"n":1000000000}',
    b'{"model":"finished","prompt":[99999999]}', b'{"model":"finished","prompt":[-1]}',
    b'{"model":"finished","prompt":"a","max_tokens":1e99}',
    b'{"model":"finished","prompt":"a","temperature":NaN}',
    b'{"model":"finished","prompt":"a","temperature":-1}',
    b'{"model":"finished","prompt":"a","top_k":-9223372036854775808}',
    b'{"model":"finished","prompt":"a","seed":1' + b"0" * 400 + b"}",
    b'{"model":"finished","prompt":"a","seed":1' + b"0" * 5000 + b"}",
    b'{"model":"finished","prompt":["' + b'","'.join([b"a"] * 100_000) + b'"]}',
    b'{"model":"finished","messages":[],"stop":[""]}', b'{"model":"\\ud800","prompt":"a"}',
])  # fmt: skip
def test_bad_body_gets_a_sentence_and_no_internal_error(ask: Any, route: str, body: bytes) -> None:
    headers = {"host": HOST, "authorization": f"Bearer {KEY}"}
    status, _, content = ask("POST", route, headers, body)
    assert status in (400, 404), content[:200]
    assert json.loads(content)["error"]["message"]


def test_bodies_are_refused_before_they_are_read(ask: Any) -> None:
    headers = {"host": HOST, "authorization": f"Bearer {KEY}"}
    announced = headers | {"content-length": str(MAX_BODY_BYTES + 1)}
    assert ask("POST", "/v1/completions", announced)[0] == 413
    assert ask("POST", "/v1/completions", headers, b"x" * (MAX_BODY_BYTES + 1), chunks=40)[0] == 413
    assert ask("GET", "/v1/models", headers | {"content-length": "1"}, b"x")[0] == 413


def test_websocket_is_closed(gate: Any) -> None:
    import asyncio

    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    headers = [(b"host", HOST.encode()), (b"authorization", f"Bearer {KEY}".encode())]
    for path in ("/", "/v1/completions", "/health"):
        scope = {"type": "websocket", "path": path, "headers": headers, "query_string": b""}
        asyncio.run(gate(scope, receive, send))
    assert [m["type"] for m in sent] == ["websocket.close"] * 3
